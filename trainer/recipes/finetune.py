"""Fine-tuning: the pretrained GPT becomes a classifier of ham and spam.

Sources differ in size by twenty and must not be recognised by their headers: each source is drawn by the square root
of its size, the preamble (sender, links, flags) is dropped from a share of the messages, and some texts are cropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.document import joined
from trainer.data.prepared import render_columns
from trainer.evaluation.metrics import summary
from trainer.gpt import GPT
from trainer.linear import source_weights
from trainer.run import Run, advance, decayed


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
    print(f"{len(train):,} messages to train on, {len(batches):,} steps of {settings.batch}")

    def loss_of(step: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng((settings.seed, step))
        rows = batches[step]
        views = [varied(preambles[i], texts[i], rng, settings) for i in rows]
        windows = [tokenizer.window(view, tails[i], model.config.context) for view, i in zip(views, rows, strict=True)]
        ids, lengths = collate(windows, tokenizer.end)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model.classify(ids, lengths)
        loss = F.cross_entropy(logits.float(), spam[rows], label_smoothing=settings.label_smoothing)
        return loss, int(lengths.sum())

    def measure() -> dict[str, float]:
        figures = summary(check["spam"].to_numpy(), score(model, tokenizer, *render_columns(check)))
        return {"holdout_auc": round(figures["roc_auc"], 5)}

    advance(
        run, model, optimizer, settings,
        title="fine-tune", steps=len(batches), floor=0.02, loss_of=loss_of, measure=measure,
    )  # fmt: skip
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
