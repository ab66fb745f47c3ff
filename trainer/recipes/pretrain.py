"""Pretraining: a GPT from random weights learns to continue mail and plain English, and what a teacher makes of it.

The order of the packed windows follows from the seed and the step alone, so a run that was killed goes on where its
checkpoint stands. With `teacher` above 0 the state of each token also predicts a sentence encoder's embedding of the
text that it stands in: language knowledge that a few million tokens do not give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from spamfilter.classifier.tokenizer import Tokenizer, read_ranks, write_ranks
from trainer.base import Base
from trainer.corpus import Piece, pack, pieces
from trainer.errors import RecipeError
from trainer.gpt import GPT, GPTConfig, parameter_count
from trainer.loop import Pace, advance
from trainer.losses import SampledSoftmax, teacher_loss, vocabulary_loss
from trainer.parallel import Parallel
from trainer.run import Run
from trainer.teacher import WIDTH, embeddings
from trainer.tokenizer import train_bpe

_HELD_OUT = 64  # windows at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrain(Pace):
    """Settings; `tokens` is how many are read in all, `batch` windows of `context` tokens at a step.

    `candidates`: tokens drawn for the sampled softmax, 0 for the whole vocabulary. `teacher`: weight of the teacher's
    loss, 0 for none; `teacher_from`: tokens of a text to be read before its embedding is asked for;
    `teacher_texts`: so many texts are shown to the teacher, mails first.
    """

    corpora: tuple[str, ...] = ("us-gov-blogs", "wikitext-2", "enron", "ham-lists")
    vocab_size: int = 8192
    context: int = 256
    layers: int = 4
    heads: int = 4
    channels: int = 256
    dropout: float = 0.0
    batch: int = 16
    tokens: int = 16_000_000
    learning_rate: float = 0.0015
    warmup: int = 200
    candidates: int = 1024
    teacher: float = 2.0
    teacher_from: int = 8
    teacher_texts: int = 32_000


class Pretraining(nn.Module):
    """The GPT and, where there is a teacher, the projection from its states to the teacher's space."""

    def __init__(self, model: GPT, *, teacher: bool) -> None:
        super().__init__()
        self.model = model
        self.projector = nn.Linear(model.config.channels, WIDTH) if teacher else None


class _Reading:
    """Batches of packed windows and their loss."""

    def __init__(
        self, settings: Pretrain, both: Pretraining, packed: np.ndarray, owners: np.ndarray, wanted: np.ndarray | None,
        device: torch.device,
    ) -> None:  # fmt: skip
        windows = len(packed) // settings.context
        if windows < 4:
            raise RecipeError(f"corpora: {len(packed):,} tokens are too few for windows of {settings.context}")
        held_out = settings.context * min(_HELD_OUT, max(windows // 10, 1))
        self._valid, self._packed, self._owners = packed[: held_out + 1], packed[held_out:], owners[held_out:]
        self._settings, self._both, self._wanted, self._device = settings, both, wanted, device
        counts = np.bincount(self._packed, minlength=both.model.config.vocab_size)
        self._sampled = SampledSoftmax(counts, settings.candidates) if settings.candidates else None

    def loss(self, number: int) -> tuple[Tensor, int]:
        s, model = self._settings, self._both.model
        starts = window_starts(len(self._packed), s.context, number, s.batch, s.seed)
        ids = torch.from_numpy(np.stack([self._packed[i : i + s.context + 1] for i in starts]).astype(np.int64))
        ids = ids.to(self._device)
        states = model.hidden(ids[:, :-1]).reshape(-1, s.channels)
        targets = ids[:, 1:].reshape(-1)
        if self._sampled is not None:
            loss = self._sampled(states, model.tokens.weight, targets, seed=s.seed * 1_000_003 + number)
        else:
            loss = vocabulary_loss(states, model.tokens.weight, targets)
        if self._both.projector is not None and self._wanted is not None:
            owners = np.stack([self._owners[i : i + s.context] for i in starts])
            places = _places(owners)
            chosen = (places >= s.teacher_from) & (places < 220) & self._wanted.any(1)[owners] & (places % 2 == 0)
            rows = torch.from_numpy(np.flatnonzero(chosen)).to(self._device)
            if len(rows):
                wanted = torch.from_numpy(self._wanted[owners[chosen]].astype(np.float32)).to(self._device)
                loss = loss + s.teacher * teacher_loss(self._both.projector, states[rows], wanted)
        return loss, s.batch * s.context

    def measure(self) -> Mapping[str, float]:
        return {"valid_loss": round(evaluate(self._both.model, self._valid, self._settings.context), 4)}


def _places(owners: np.ndarray) -> np.ndarray:
    """How far into its text, as far as the window shows, each token stands: (B, T) -> (B, T)."""
    at = np.broadcast_to(np.arange(owners.shape[1]), owners.shape)
    first = np.concatenate([np.ones((len(owners), 1), bool), owners[:, 1:] != owners[:, :-1]], 1)
    return at - np.maximum.accumulate(np.where(first, at, 0), 1)


def window_starts(length: int, context: int, number: int, batch: int, seed: int) -> list[int]:
    """Where the windows of batch `number` start: every window once an epoch, in an order shuffled anew in each."""
    windows = (length - 1) // context
    starts = []
    for n in range(number * batch, (number + 1) * batch):
        epoch, place = divmod(n, windows)
        starts.append(int(_order(windows, seed + epoch)[place]) * context)
    return starts


@lru_cache(maxsize=2)
def _order(windows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(windows)


def tokenizer_for(run: Run, texts: list[str], vocab_size: int) -> Tokenizer:
    """The run's own tokenizer, trained at the first call."""
    path = run.folder / "tokenizer.tiktoken"
    if not path.exists():
        write_ranks(train_bpe(texts, vocab_size), path)
    return Tokenizer(read_ranks(path))


def _packed(run: Run, tokenizer: Tokenizer, texts: list[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    files = run.folder / "packed.npy", run.folder / "owners.npy"
    if not all(file.exists() for file in files):
        for file, values in zip(files, pack(tokenizer, texts, seed), strict=True):
            np.save(file, values)
    return np.load(files[0], mmap_mode="r"), np.load(files[1], mmap_mode="r")


def pretrain(
    settings: Pretrain, run: Run, table: pd.DataFrame, data: Path, *, teacher_cache: Path, start: Base | None = None
) -> GPT:
    """Run, or go on with, a pretraining. Returns the model, which also stands in the run's folder as `final.pt`.

    `start` goes on from another base, of the same sizes; its tokenizer must then stand in the run's folder.
    """
    parallel = Parallel.start(settings.device)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    read: list[Piece] = pieces(settings.corpora, table, data)
    texts = [piece.text for piece in read]
    if parallel.leads:
        tokenizer = tokenizer_for(run, texts, settings.vocab_size)
        _packed(run, tokenizer, texts, settings.seed)
    parallel.wait()
    tokenizer = tokenizer_for(run, texts, settings.vocab_size)
    packed, owners = _packed(run, tokenizer, texts, settings.seed)
    wanted = None
    if settings.teacher:
        shown = [piece.shown if n < settings.teacher_texts else "" for n, piece in enumerate(read)]
        wanted = embeddings(shown, teacher_cache)
    config = GPTConfig(
        tokenizer.vocab_size, settings.context, settings.layers, settings.heads, settings.channels, settings.dropout
    )
    model = start.network() if start else GPT(config)
    both = Pretraining(model, teacher=wanted is not None).to(parallel.device)
    if both.projector is not None and start is not None and start.projector is not None:
        both.projector.load_state_dict(start.projector)
    steps = settings.tokens // (settings.batch * settings.context * settings.accumulate * parallel.world)
    if parallel.leads:
        print(f"{parameter_count(model):,} parameters, {len(packed):,} tokens in the corpora, {steps:,} steps")
    reading = _Reading(settings, both, packed, owners, wanted, parallel.device)
    advance(run, both, reading, settings, parallel, title="pretrain", steps=steps, watch="valid_loss")
    return model


@torch.no_grad()
def evaluate(model: GPT, packed: np.ndarray, context: int) -> float:
    """Mean next-token loss (nats a token, whole vocabulary) over whole windows of `packed`."""
    model.eval()
    device = model.tokens.weight.device
    ids = torch.from_numpy(
        np.stack([packed[i : i + context + 1] for i in range(0, len(packed) - context, context)]).astype(np.int64)
    ).to(device)
    losses = [model.next_token_loss(part[:, :-1], part[:, 1:]).item() for part in ids.split(16)]
    return sum(losses) / len(losses)
