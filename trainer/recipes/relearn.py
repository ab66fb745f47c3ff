"""Relearning: the network itself learns from corrections, by its last block or by adapters that are merged again.

A replay holds it back: of its messages half of what is taught is what the network before says of the same view (Li and
Hoiem 2016, Learning without Forgetting). The head stays as it is meanwhile, so that one head reads the states of every
network that learns here; it learns afterwards (`trainer.recipes.retrain`). There are three: one learns from everything
and is served; two learn from a half each, so that each message has a state by a network that had not learnt from it.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.document import Document, canonical, preamble
from trainer.augment import Augment
from trainer.base import base_of, load_classifier
from trainer.data.prepared import render_columns
from trainer.errors import RecipeError
from trainer.export import export_graph
from trainer.gpt import GPT
from trainer.job import Progress
from trainer.linear import source_weights
from trainer.loop import Pace, advance
from trainer.parallel import Parallel
from trainer.recipes.retrain import Current, Relearnt, Retrain, folds_of, trust_of
from trainer.rehearsal import Rehearsal, states_of, windows_of
from trainer.run import Run
from trainer.strategies import Counts, count, finish, prepare
from trainer.trust import Corrections, weights_of
from trainer.windows import Views, collate


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a network learns from: N corrections, then R messages of a replay, of both a table (preamble, text, tail,
    spam), their windows as in service, and weights (N + R,); which corrections may be parted, by half (N,), -1 none."""

    table: pd.DataFrame
    windows: Sequence[np.ndarray]
    weights: np.ndarray
    half: np.ndarray

    @property
    def corrected(self) -> np.ndarray:
        """Where corrections stand (N + R,), bool."""
        found: np.ndarray = np.arange(len(self.table)) < len(self.half)
        return found

    def without(self, half: int) -> np.ndarray:
        """The rows that a network learns from that is to judge one half."""
        replayed = np.arange(len(self.table) - len(self.half)) % 2
        return np.flatnonzero(np.concatenate([self.half, replayed]) != half)


def lesson_of(
    current: Current, corrections: Corrections, table: pd.DataFrame, windows: Sequence[np.ndarray],
    rehearsal: Rehearsal, rehearsed: Sequence[np.ndarray], settings: Retrain,
) -> Lesson:  # fmt: skip
    """What a network learns from corrections with their texts and windows (N), and from a run's messages (R)."""
    columns = ["preamble", "text", "tail", "spam"]
    replay = rehearsal.replay
    trust = trust_of(current, corrections, replay, settings)
    weights = weights_of(corrections, trust, largest=settings.largest_share, balance=settings.balance)
    half = folds_of(corrections, 2, settings.seed)
    taught = table[columns[:-1]].assign(spam=corrections.spam)
    return Lesson(
        pd.concat([taught, rehearsal.table[columns]], ignore_index=True),
        [*windows, *rehearsed],
        np.concatenate([weights, source_weights(replay.source, replay.spam)]),
        np.full(len(corrections), -1) if half is None else half,
    )


def learn_from(
    run: Path, current: Current, corrections: Corrections, documents: Sequence[Document], rehearsal: Rehearsal,
    settings: Retrain, progress: Progress, graph: Path,
) -> tuple[Relearnt, Counts]:  # fmt: skip
    """Let the run's network learn from corrections (N) with their documents (N), and write its graph. Raises
    RecipeError where the network is not the current model's."""
    model, tokenizer = load_classifier(run / "finetune"), Tokenizer.load(base_of(run) / "tokenizer.tiktoken")
    head = (model.classifier.weight[1] - model.classifier.weight[0]).detach().numpy()
    if head.shape != current.stages.head.weight.shape or not np.allclose(head, current.stages.head.weight, atol=1e-4):
        raise RecipeError(
            f"{run}: its network is not the one in service: give the run that the model was exported from"
        )
    table = pd.DataFrame(
        {
            "preamble": [preamble(document) for document in documents],
            "text": [canonical(document.text) for document in documents],
            "tail": [canonical(document.tail) for document in documents],
        }
    )
    mine, replayed = (
        windows_of(*render_columns(rows), current.stages.ngram, tokenizer, model.config.context)
        for rows in (table, rehearsal.table)
    )
    lesson = lesson_of(current, corrections, table, mine, rehearsal, replayed, settings)
    return relearn(model, tokenizer, lesson, settings, progress, graph)


class _Relearning:
    """Batches of varied views, half of them of corrections, and their loss. A task of `trainer.loop`."""

    def __init__(
        self, model: GPT, before: GPT, tokenizer: Any, lesson: Lesson, rows: np.ndarray, settings: Retrain,
        progress: Progress,
    ) -> None:  # fmt: skip
        self._model, self._before, self._end, self._settings = model, before, tokenizer.end, settings
        self._progress = progress
        mine, corrected, weights = lesson.table.iloc[rows], lesson.corrected[rows], lesson.weights[rows]
        self._views = Views(mine, Augment(), tokenizer, model.config.context)  # good words, too, are of these rows
        self._spam = mine["spam"].to_numpy().astype(np.float32)
        self._kept = np.where(corrected, 0.0, settings.kept).astype(np.float32)
        self._drawn = []
        half = settings.batch // 2
        for members, many in ((corrected, half), (~corrected, settings.batch - half)):
            shares = np.where(members, weights, 0.0)
            if shares.any():
                self._drawn.append((shares / shares.sum(), many))
        self._last = 0.0

    def loss(self, number: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng((self._settings.seed, number))
        rows = np.concatenate([rng.choice(len(share), many, p=share) for share, many in self._drawn])
        windows = [self._views.window(row, self._views.text(row, rng), rng) for row in rows.tolist()]
        ids, lengths = collate(windows, self._end)
        with torch.no_grad():
            said = spam_over_ham(self._before, ids, lengths).sigmoid()
        kept = torch.from_numpy(self._kept[rows])
        wanted = kept * said + (1 - kept) * torch.from_numpy(self._spam[rows])
        loss = F.binary_cross_entropy_with_logits(spam_over_ham(self._model, ids, lengths), wanted)
        self._last = float(loss.detach())
        self._progress.advance()
        return loss, int(lengths.sum())

    def measure(self) -> Mapping[str, float]:
        return {"last_loss": self._last}


def spam_over_ham(model: GPT, ids: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) ids padded on the right, (B,) lengths -> (B,) logits."""
    found = model.classify(ids, lengths).float()
    return found[:, 1] - found[:, 0]


def steps_for(corrections: int, settings: Retrain) -> int:
    """How many batches a network learns from so many corrections."""
    wanted = -(-settings.passes * corrections // (settings.batch // 2))
    return max(min(wanted, settings.most_steps), 1)


def relearn(
    model: GPT, tokenizer: Any, lesson: Lesson, settings: Retrain, progress: Progress, graph: Path
) -> tuple[Relearnt, Counts]:  # fmt: skip
    """Let a copy of the network learn from the lesson and write it at `graph`, as it is served; the states that it and
    its halves make of the lesson's messages, and how many parameters learnt. Minutes on two cores."""
    parts = [np.arange(len(lesson.table)), lesson.without(0), lesson.without(1)]
    asked = [parts[0], *(np.setdiff1d(parts[0], rows) for rows in parts[1:])]
    steps = [steps_for(int(lesson.corrected[rows].sum()), settings) for rows in parts]
    progress.begin("learning", sum(steps))
    learnt = [_learnt(model, tokenizer, lesson, *one, settings, progress) for one in zip(parts, steps, strict=True)]

    progress.begin("reading again", sum(map(len, asked)))
    states = np.zeros((len(lesson.table), model.config.channels), np.float32)
    unseen = np.zeros_like(states)
    with tempfile.TemporaryDirectory() as folder:
        for (network, _), rows, found in zip(learnt, asked, (states, unseen, unseen), strict=True):
            file = graph if found is states else Path(folder) / "half.onnx"
            export_graph(network, file)
            if len(rows):
                found[rows] = states_of(file, [lesson.windows[row] for row in rows], progress)
            if found is states:
                unseen[:] = states
    first = len(lesson.half)
    return Relearnt(states[:first], states[first:], unseen[:first], unseen[first:]), learnt[0][1]


def _learnt(
    model: GPT, tokenizer: Any, lesson: Lesson, rows: np.ndarray, steps: int, settings: Retrain,
    progress: Progress,
) -> tuple[GPT, Counts]:  # fmt: skip
    """A copy that learnt from some rows: adapters merged, nothing frozen."""
    copied = copy.deepcopy(model)
    prepare(copied, settings.network, seed=settings.seed, new_head=False, rank=settings.rank, alpha=settings.alpha)
    copied.classifier.requires_grad_(False)
    counts = count(copied)
    task = _Relearning(copied, model.eval(), tokenizer, lesson, rows, settings, progress)
    pace = Pace(
        learning_rate=settings.learning_rate, warmup=max(steps // 10, 1), seed=settings.seed, checkpoint_every=steps
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        advance(Run(Path(folder)), copied, task, pace, Parallel(), title="learning", steps=steps, watch="last_loss")
    return finish(copied).eval(), counts
