"""Fine-tuning: the pretrained GPT becomes a classifier of ham and spam.

Sources differ in size by twenty and must not be recognised by their headers: each source is drawn by the square root
of its size, the preamble (sender, links, flags) is dropped from a share of the messages, and some texts are cropped.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional as F

from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.document import joined
from trainer.data.prepared import render_columns
from trainer.gpt import GPT
from trainer.linear import source_weights
from trainer.run import Run, cosine, decayed


@dataclass(frozen=True, slots=True)
class Finetune:
    """Settings; an epoch is as many messages as the training part has, drawn by source."""

    epochs: float = 2.0
    batch: int = 32
    learning_rate: float = 0.0006
    weight_decay: float = 0.05
    warmup: int = 100
    clip: float = 1.0
    label_smoothing: float = 0.02
    header_dropout: float = 0.3
    line_dropout: float = 0.15
    crop: float = 0.15
    leave_out: str = ""
    seed: int = 123
    threads: int = 2
    checkpoint_every: int = 200


def collate(windows: list[np.ndarray], pad: int) -> tuple[Tensor, Tensor]:
    """Windows of different lengths -> (B, T) ids padded on the right, (B,) lengths."""
    lengths = torch.tensor([len(w) for w in windows])
    ids = torch.full((len(windows), int(lengths.max())), pad, dtype=torch.long)
    for row, window in zip(ids, windows, strict=True):
        row[: len(window)] = torch.from_numpy(window)
    return ids, lengths


def varied(preamble: str, text: str, rng: np.random.Generator, settings: Finetune) -> str:
    """A training view of a message: preamble dropped or thinned, now and then the text from a later line on."""
    if preamble and rng.random() < settings.header_dropout:
        preamble = "\n".join(
            line for line in preamble.split("\n") if line.startswith("subject:") and rng.random() < 0.5
        )
    elif preamble:
        preamble = "\n".join(line for line in preamble.split("\n") if rng.random() >= settings.line_dropout)
    if len(text) > 600 and rng.random() < settings.crop:
        start = int(rng.integers(0, len(text) - 300))
        text = text[text.find(" ", start) + 1 :]
    return joined(preamble, text)


def schedule(table: pd.DataFrame, settings: Finetune) -> np.ndarray:
    """Row numbers of every batch, (steps, batch): drawn by source weight, similar lengths together."""
    rng = np.random.default_rng(settings.seed)
    weights = source_weights(table["source"].to_numpy(), table["spam"].to_numpy())
    total = int(settings.epochs * len(table)) // settings.batch * settings.batch
    rows = rng.choice(len(table), total, p=weights / weights.sum())
    lengths = table["text"].str.len().to_numpy()
    pool = settings.batch * 32
    batches = []
    for start in range(0, total, pool):
        part = rows[start : start + pool]
        part = part[np.argsort(np.minimum(lengths[part], 1200) + rng.random(len(part)), kind="stable")]
        groups = part.reshape(-1, settings.batch)
        batches.append(groups[rng.permutation(len(groups))])
    return np.concatenate(batches)


def finetune(settings: Finetune, run: Run, table: pd.DataFrame, model: GPT, tokenizer: Tokenizer) -> GPT:
    """Run, or go on with, a fine-tuning of `model` in place."""
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    train = table[(table["part"] == "train") & (table["source"] != settings.leave_out)].reset_index(drop=True)
    holdout = table[(table["part"] == "holdout") & (table["source"] != settings.leave_out)].reset_index(drop=True)
    check = holdout.sample(min(len(holdout), 1000), random_state=settings.seed)
    batches = schedule(train, settings)
    preambles, texts, tails = (train[column].to_list() for column in ("preamble", "text", "tail"))
    spam = torch.tensor(train["spam"].to_numpy())
    optimizer = torch.optim.AdamW(decayed(model, settings.weight_decay), lr=settings.learning_rate, fused=True)
    steps, step = len(batches), 0
    if (state := run.load()) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    print(f"{len(train):,} messages to train on, {steps:,} steps of {settings.batch}")
    columns = (
        TextColumn("fine-tune"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=steps, completed=step, loss=math.nan)
        began, recent = time.monotonic(), []
        while step < steps:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * cosine(step, steps, settings.warmup, 0.02)
            rng = np.random.default_rng((settings.seed, step))
            rows = batches[step]
            views = [varied(preambles[i], texts[i], rng, settings) for i in rows]
            windows = [
                tokenizer.window(view, tails[i], model.config.context) for view, i in zip(views, rows, strict=True)
            ]
            ids, lengths = collate(windows, tokenizer.end)
            model.train()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model.classify(ids, lengths)
            loss = F.cross_entropy(logits.float(), spam[rows], label_smoothing=settings.label_smoothing)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], settings.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            recent.append(loss.item())
            if step % 20 == 0:
                mean = sum(recent) / len(recent)
                recent.clear()
                progress.update(bar, completed=step, loss=mean)
                run.log(step=step, loss=round(mean, 4), seconds=round(time.monotonic() - began, 1))
            if step % settings.checkpoint_every == 0 or step == steps:
                from trainer.evaluation.metrics import summary

                scores = score(model, tokenizer, *render_columns(check))
                figures = summary(check["spam"].to_numpy(), scores)
                run.log(step=step, holdout_auc=round(figures["roc_auc"], 5))
                run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step})
    return model


@torch.no_grad()
def score(model: GPT, tokenizer: Tokenizer, heads: list[str], tails: list[str], batch: int = 32) -> np.ndarray:
    """Spam-over-ham logits (N,) of rendered messages, in fp32."""
    model.eval()
    windows = [tokenizer.window(head, tail, model.config.context) for head, tail in zip(heads, tails, strict=True)]
    order = np.argsort([len(w) for w in windows], kind="stable")
    scores = np.zeros(len(windows), np.float32)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        logits = model.classify(*collate([windows[i] for i in rows], tokenizer.end))
        scores[rows] = (logits[:, 1] - logits[:, 0]).numpy()
    return scores
