"""Pretraining: a GPT from random weights learns to continue mail, SMS and plain English.

Resumable: the order of the packed windows follows from the seed and the step alone, so a run that was killed goes on
where its checkpoint stands.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from spamfilter.classifier.tokenizer import Tokenizer, read_ranks, write_ranks
from spamfilter.document import canonical
from trainer.data.corpora import plain_texts
from trainer.data.prepared import render_columns
from trainer.gpt import GPT, GPTConfig, parameter_count
from trainer.run import Run, cosine, decayed
from trainer.tokenizer import train_bpe


@dataclass(frozen=True, slots=True)
class Pretrain:
    """Settings; `tokens` is how many are read in all, `batch` windows of `context` tokens at a step."""

    vocab_size: int = 8192
    context: int = 256
    layers: int = 4
    heads: int = 4
    channels: int = 256
    batch: int = 32
    tokens: int = 14_000_000
    learning_rate: float = 0.0015
    weight_decay: float = 0.05
    warmup: int = 100
    clip: float = 1.0
    seed: int = 123
    threads: int = 2
    checkpoint_every: int = 100


def texts(table: pd.DataFrame, data: Path) -> list[str]:
    """What the base reads: the rendering of mails of the train and holdout parts (labels unused), and plain English."""
    mail = table[table["part"].isin(["train", "holdout"])].drop_duplicates("group")
    heads, tails = render_columns(mail)
    both = [f"{head}\n{tail}" if tail else head for head, tail in zip(heads, tails, strict=True)]
    return both + [canonical(article) for _, article in plain_texts(data)]


def tokenizer_for(run: Run, corpus: list[str], vocab_size: int) -> Tokenizer:
    """The run's own tokenizer, trained at the first call."""
    path = run.folder / "tokenizer.tiktoken"
    if not path.exists():
        write_ranks(train_bpe(corpus, vocab_size), path)
    return Tokenizer(read_ranks(path))


def pack(tokenizer: Tokenizer, corpus: list[str], seed: int) -> np.ndarray:
    """All texts in shuffled order, END after each, as one (N,) uint16 array."""
    order = np.random.default_rng(seed).permutation(len(corpus))
    ids: list[np.ndarray] = []
    for start in range(0, len(order), 1000):
        for encoded in tokenizer.encoding.encode_ordinary_batch(
            [corpus[i] for i in order[start : start + 1000]], num_threads=2
        ):
            ids.append(np.array([*encoded, tokenizer.end], np.uint16))
    return np.concatenate(ids)


def window_ids(packed: np.ndarray, context: int, step: int, batch: int, seed: int) -> np.ndarray:
    """(batch, context + 1) ids of a step: windows in an order that is shuffled anew in each epoch."""
    windows = (len(packed) - 1) // context
    first = step * batch
    rows = []
    for number in range(first, first + batch):
        epoch, place = divmod(number, windows)
        start = int(_order(windows, seed + epoch)[place]) * context
        rows.append(packed[start : start + context + 1])
    return np.stack(rows).astype(np.int64)


_orders: dict[tuple[int, int], np.ndarray] = {}


def _order(windows: int, seed: int) -> np.ndarray:
    if (windows, seed) not in _orders:
        _orders[windows, seed] = np.random.default_rng(seed).permutation(windows)
    return _orders[windows, seed]


def pretrain(settings: Pretrain, run: Run, table: pd.DataFrame, data: Path) -> GPT:
    """Run, or go on with, a pretraining. Returns the model; the checkpoint stands in the run's folder."""
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    corpus = texts(table, data)
    tokenizer = tokenizer_for(run, corpus, settings.vocab_size)
    packed_file = run.folder / "packed.npy"
    if not packed_file.exists():
        np.save(packed_file, pack(tokenizer, corpus, settings.seed))
    packed = np.load(packed_file, mmap_mode="r")
    held_out = settings.context * 64
    valid, packed = packed[: held_out + 1], packed[held_out:]
    model = GPT(GPTConfig(tokenizer.vocab_size, settings.context, settings.layers, settings.heads, settings.channels))
    optimizer = torch.optim.AdamW(
        decayed(model, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.95), fused=True
    )
    steps = settings.tokens // (settings.batch * settings.context)
    step = 0
    if (state := run.load()) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    print(f"{parameter_count(model):,} parameters, {len(packed):,} tokens in the corpus, {steps:,} steps")
    columns = (
        TextColumn("pretrain"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} loss {task.fields[loss]:.3f} {task.fields[rate]:.0f} tok/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=steps, completed=step, loss=math.nan, rate=0.0)
        began, recent = time.monotonic(), []
        while step < steps:
            factor = cosine(step, steps, settings.warmup)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * factor
            ids = torch.from_numpy(window_ids(packed, settings.context, step, settings.batch, settings.seed))
            model.train()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model.next_token_loss(ids[:, :-1], ids[:, 1:])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            recent.append(loss.item())
            if step % 20 == 0:
                rate = 20 * settings.batch * settings.context / (time.monotonic() - began)
                began = time.monotonic()
                mean = sum(recent) / len(recent)
                recent.clear()
                progress.update(bar, completed=step, loss=mean, rate=rate)
                run.log(step=step, loss=round(mean, 4), rate=round(rate), lr=settings.learning_rate * factor)
            if step % settings.checkpoint_every == 0 or step == steps:
                run.log(step=step, valid_loss=round(evaluate(model, valid, settings.context), 4))
                run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step})
    return model


@torch.no_grad()
def evaluate(model: GPT, packed: np.ndarray, context: int) -> float:
    """Mean next-token loss (nats) over whole windows of `packed`."""
    model.eval()
    ids = torch.from_numpy(
        np.stack([packed[i : i + context + 1] for i in range(0, len(packed) - context, context)]).astype(np.int64)
    )
    losses = [model.next_token_loss(part[:, :-1], part[:, 1:]).item() for part in ids.split(16)]
    return sum(losses) / len(losses)
