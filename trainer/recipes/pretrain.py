"""Pretraining: a GPT from random weights learns to continue mail, SMS and plain English.

Resumable: the order of the packed windows follows from the seed and the step alone, so a run that was killed goes on
where its checkpoint stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from spamfilter.classifier.tokenizer import Tokenizer, read_ranks, write_ranks
from spamfilter.document import canonical
from trainer.data.corpora import plain_texts
from trainer.data.prepared import render_columns
from trainer.gpt import GPT, GPTConfig, parameter_count
from trainer.run import Run, advance, decayed
from trainer.tokenizer import train_bpe


@dataclass(frozen=True, slots=True)
class Pretrain:
    """Settings; `tokens` is how many are read in all, `batch` windows of `context` tokens at a step."""

    vocab_size: int = 8192
    context: int = 256
    layers: int = 4
    heads: int = 4
    channels: int = 256
    batch: int = 16
    tokens: int = 11_000_000
    learning_rate: float = 0.0015
    weight_decay: float = 0.05
    warmup: int = 150
    clip: float = 1.0
    seed: int = 123
    threads: int = 2
    checkpoint_every: int = 200


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


@lru_cache(maxsize=2)
def _order(windows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(windows)


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
    print(f"{parameter_count(model):,} parameters, {len(packed):,} tokens in the corpus, {steps:,} steps")

    def loss_of(step: int) -> tuple[Tensor, int]:
        ids = torch.from_numpy(window_ids(packed, settings.context, step, settings.batch, settings.seed))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model.next_token_loss(ids[:, :-1], ids[:, 1:]), settings.batch * settings.context

    def measure() -> dict[str, float]:
        return {"valid_loss": round(evaluate(model, valid, settings.context), 4)}

    advance(run, model, optimizer, settings, title="pretrain", steps=steps, floor=0.1, loss_of=loss_of, measure=measure)
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
