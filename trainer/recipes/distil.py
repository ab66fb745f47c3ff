"""Distillation: a pretrained GPT learns to tell texts apart by meaning, as a public sentence encoder does.

Next-token prediction over a few million tokens teaches style before meaning. Here the state of a text's last token,
projected, must pick the teacher's embedding of the same text out of the batch's (InfoNCE, van den Oord et al. 2018):
to match only the mean embedding, which a cosine loss allows, gains nothing. No label is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.base import Base
from trainer.corpus import Piece, pieces
from trainer.errors import RecipeError
from trainer.gpt import GPT
from trainer.loop import Pace, advance, autocast
from trainer.losses import picking_loss
from trainer.parallel import Parallel
from trainer.recipes.pretrain import Pretraining
from trainer.run import Run
from trainer.teacher import centred, embeddings
from trainer.windows import collate

_HELD_OUT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Distil(Pace):
    """Settings; an epoch is every text once. `longest`: tokens that are read of a text; `texts`: at most so many."""

    corpora: tuple[str, ...] = ("us-gov-blogs", "wikitext-2", "enron", "ham-lists")
    epochs: float = 2.0
    batch: int = 96
    longest: int = 128
    texts: int = 30_000
    temperature: float = 0.05
    learning_rate: float = 0.0008
    warmup: int = 60
    floor: float = 0.05


class _Picking:
    """Batches of texts of similar length and their loss."""

    def __init__(
        self, s: Distil, both: Pretraining, base: Base, texts: list[str], wanted: np.ndarray, device: torch.device
    ) -> None:
        self._settings, self._both, self._end, self._device = s, both, base.tokenizer.end, device
        encoded = base.tokenizer.encoding.encode_ordinary_batch([text[:2000] for text in texts], num_threads=2)
        ids = [np.array([*found[: s.longest - 1], self._end], np.int64) for found in encoded]
        self._held, self._held_wanted = ids[:_HELD_OUT], wanted[:_HELD_OUT]
        self._ids, self._wanted = ids[_HELD_OUT:], wanted[_HELD_OUT:]
        rng = np.random.default_rng(s.seed)
        lengths = np.array([len(one) for one in self._ids])
        batches = []
        for _ in range(int(np.ceil(s.epochs))):
            order = np.argsort(lengths + 24 * rng.random(len(lengths)), kind="stable")
            groups = order[: len(order) // s.batch * s.batch].reshape(-1, s.batch)
            batches.append(groups[rng.permutation(len(groups))])
        self.batches = np.concatenate(batches)[: max(int(s.epochs * len(self._ids)) // s.batch, 1)]

    def _projected(self, windows: list[np.ndarray]) -> tuple[Tensor, int]:
        ids, lengths = collate(windows, self._end)
        assert self._both.projector is not None
        pooled = self._both.model.pooled(ids.to(self._device), lengths.to(self._device))
        return self._both.projector(pooled), int(lengths.sum())

    def loss(self, number: int) -> tuple[Tensor, int]:
        rows = self.batches[number % len(self.batches)]
        projected, read = self._projected([self._ids[i] for i in rows])
        wanted = torch.from_numpy(self._wanted[rows]).to(self._device)
        return picking_loss(projected, wanted, self._settings.temperature), read

    @torch.no_grad()
    def measure(self) -> Mapping[str, float]:
        self._both.eval()
        with autocast(self._device, self._settings.precision):
            found = torch.cat([self._projected(self._held[i : i + 64])[0] for i in range(0, len(self._held), 64)])
        found = F.normalize(found.float(), dim=-1).cpu()
        wanted = torch.from_numpy(self._held_wanted)
        picked = (found @ wanted.T).argmax(1) == torch.arange(len(found))
        return {
            "picked": round(picked.float().mean().item(), 4),
            "cosine": round((found * wanted).sum(1).mean().item(), 4),
        }


def distil(settings: Distil, run: Run, table: pd.DataFrame, data: Path, base: Base, *, teacher_cache: Path) -> GPT:
    """Run, or go on with, a distillation of the base's network; it also stands in the run's folder as `final.pt`."""
    parallel = Parallel.start(settings.device)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    read: list[Piece] = [piece for piece in pieces(settings.corpora, table, data) if piece.shown]
    order = np.random.default_rng(settings.seed).permutation(len(read))[: settings.texts]
    if len(order) < 2 * _HELD_OUT:
        raise RecipeError(f"corpora: {len(order)} texts are too few to distil from; {2 * _HELD_OUT} are needed")
    chosen = [read[i] for i in order]
    wanted = centred(embeddings([piece.shown for piece in chosen], teacher_cache))
    both = Pretraining(base.network(), teacher=True).to(parallel.device)
    task = _Picking(settings, both, base, [piece.text for piece in chosen], wanted, parallel.device)
    steps = len(task.batches) // (settings.accumulate * parallel.world)
    if parallel.leads:
        print(f"{len(chosen):,} texts, {steps:,} steps of {settings.batch}")
    advance(run, both, task, settings, parallel, title="distil", steps=steps, watch="picked", higher_is_better=True)
    return both.model
