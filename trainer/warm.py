"""Fits that start from a model in service and are drawn back to it: what corrections do not speak of stays as it was.

Each is convex and takes seconds: a squared hinge over the n-grams that occur, logistic regressions over pooled states
and over the stages' scores. The distance from the current model is counted as if it were so many messages
(Bishop 2006, 4.5, with the current weights as the prior's mean).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import solve
from scipy.optimize import minimize
from scipy.special import expit

from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import WORD_BITS, NgramModel
from trainer.inputs import Inputs
from trainer.stacking import STAGES

Ensemble = Mapping[str, Any]

COMMON = 0.03
"""What so many of the messages have is counted among the common."""
_NEWTON_STEPS, _SMALLEST_STEP = 30, 1e-4


@dataclass(frozen=True, slots=True)
class Head:
    """The GPT's last layer: spam over ham is `pooled @ weight + bias`; weight (C,)."""

    weight: np.ndarray
    bias: float


@dataclass(frozen=True, slots=True)
class Stages:
    """The three stages of a model."""

    ngram: NgramModel
    facts: FactsModel
    head: Head

    def scores(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """Each stage's linear scores (N,), as the served ensemble has them; where passages are known, with them."""
        counts = inputs.counts
        ngram = weighed(counts.whole, self.ngram.idf) @ self.ngram.weights
        sizes = np.diff(counts.starts)
        if sizes.any():
            parts = weighed(counts.passages, self.ngram.idf) @ self.ngram.weights
            long = sizes > 0
            ngram[long] = (ngram[long] + np.maximum.reduceat(parts, counts.starts[:-1][long])) / 2
        return {
            "ngram": ngram + self.ngram.bias,
            "facts": np.nan_to_num(inputs.facts) @ self.facts.weights + self.facts.bias,
            "gpt": inputs.pooled @ self.head.weight + self.head.bias,
        }


def weighed(counts: sparse.csr_matrix, idf: np.ndarray) -> sparse.csr_matrix:
    """TF-IDF values as `ngram.weigh` has them: in each row words and characters have unit length."""
    values = counts.data * idf[counts.indices]
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    part = 2 * rows + (counts.indices >= 1 << WORD_BITS)
    norms = np.sqrt(np.bincount(part, weights=values.astype(np.float64) ** 2, minlength=2 * counts.shape[0]))
    norms[norms == 0] = 1.0
    return sparse.csr_matrix((values / norms[part].astype(np.float32), counts.indices, counts.indptr), counts.shape)


def standings(ensemble: Ensemble, scores: Mapping[str, np.ndarray], mail: np.ndarray) -> np.ndarray:
    """Scores in the ensemble's units (N, 3), unbounded, in the order of STAGES."""
    found = np.zeros((len(mail), len(STAGES)))
    for mode, mask in (("mail", mail), ("text", ~mail)):
        for column, stage in enumerate(STAGES):
            how = ensemble[mode]["stages"][stage]
            found[mask, column] = (scores[stage][mask] - how["centre"]) / how["unit"]
    return found


def counted(ensemble: Ensemble, standing: np.ndarray, mail: np.ndarray) -> np.ndarray:
    """What each stage adds to the logit (N, 3), as `ensemble.counted` has it, of standings (N, 3)."""
    found = np.zeros_like(standing, dtype=np.float64)
    for mode, mask in (("mail", mail), ("text", ~mail)):
        for column, stage in enumerate(STAGES):
            how = ensemble[mode]["stages"][stage]
            values = np.tanh(standing[mask, column]) if how["bounded"] else standing[mask, column]
            found[mask, column] = how["weight"] * values
    return found


def logits(ensemble: Ensemble, standing: np.ndarray, mail: np.ndarray) -> np.ndarray:
    """The ensemble's logits (N,) of standings (N, 3)."""
    bias = np.where(mail, ensemble["mail"]["bias"], ensemble["text"]["bias"])
    found: np.ndarray = counted(ensemble, standing, mail).sum(1) + bias
    return found


def widened_idf(ngram: NgramModel, counts: sparse.csr_matrix, *, least: int = 2) -> np.ndarray:
    """The model's idf (D,), with one for features that it had never met and that `least` of the messages have.

    The number of messages that the model was fitted on follows from its largest idf, that of a feature of two.
    """
    idf = ngram.idf.astype(np.float32).copy()
    seen = np.bincount(counts.indices, minlength=len(idf))
    messages = 3 * np.exp(float(idf.max(initial=1.0)) - 1) - 1
    new = (idf == 0) & (seen >= least)
    idf[new] = (np.log((1 + messages) / (1 + seen[new])) + 1).clip(1.0)
    return idf


def products(matrix: sparse.csr_matrix) -> np.ndarray:
    """Inner products (N, N) of weighed messages, and 1 for the bias that all share.

    What most messages have is multiplied dense and the rest sparse: ten times as fast as either alone.
    """
    seen = np.bincount(matrix.indices, minlength=matrix.shape[1])
    common = seen > COMMON * matrix.shape[0]
    dense = matrix[:, np.flatnonzero(common)].toarray()
    found: np.ndarray = dense @ dense.T + np.float32(1)
    rare = matrix[:, np.flatnonzero((seen > 1) & ~common)]
    found += (rare @ rare.T).toarray()
    alone = matrix[:, np.flatnonzero((seen == 1) & ~common)]
    found[np.diag_indices(len(found))] += np.asarray(alone.multiply(alone).sum(1))[:, 0]
    return found


def fit_ngram(
    current: NgramModel, idf: np.ndarray, matrix: sparse.csr_matrix, alike: np.ndarray, spam: np.ndarray,
    weights: np.ndarray, margins: np.ndarray, *, pull: float,
) -> NgramModel:  # fmt: skip
    """A squared hinge over weighed n-grams (N, D), drawn to the current weights; `weights` (N,) weigh messages.

    Minimises sum w max(0, margin - y f)^2 + pull / 2 |change|^2, the bias's change like a weight's. Where `spam` is -1
    the current model is the teacher: its score is drawn back, w (f - before)^2. `alike` (N, N) are the `products`.
    Solved exactly by Newton steps over messages, of which only those within the margin take part (Chapelle 2007,
    Training a Support Vector Machine in the Primal).
    """
    before = matrix @ current.weights + current.bias
    taught = spam < 0
    signs = np.where(taught, 0.0, spam * 2.0 - 1.0)
    wanted = np.where(taught, 0.0, margins * signs - before)  # by how much a score is to change
    share, change = np.zeros(len(spam)), np.zeros(len(spam))

    def cost(share: np.ndarray, change: np.ndarray) -> float:
        short = np.where(taught, -change, np.maximum(0.0, margins - signs * (before + change)))
        return float(weights @ short**2 + pull * (share @ change) / 2)

    now = cost(share, change)
    for _ in range(_NEWTON_STEPS):
        rows = np.flatnonzero((weights > 0) & (taught | (signs * (before + change) < margins)))
        goal = np.zeros(len(spam))
        if len(rows):
            system = alike[np.ix_(rows, rows)].astype(np.float64)
            system[np.diag_indices(len(rows))] += pull / (2 * weights[rows])
            goal[rows] = solve(system, wanted[rows], assume_a="pos", check_finite=False)
        step = goal - share
        along = alike @ step
        size = 1.0
        while (then := cost(share + size * step, change + size * along)) > now and size > _SMALLEST_STEP:
            size /= 2
        if then >= now - 1e-7 * abs(now):
            break
        share, change, now = share + size * step, change + size * along, then
    moved = current.weights.astype(np.float32) + (matrix.T @ share).astype(np.float32)
    return NgramModel(moved, idf, current.bias + float(share.sum()))


def fit_head(
    current: Head, states: np.ndarray, spam: np.ndarray, weights: np.ndarray, around: np.ndarray, *, pull: float
) -> Head:
    """Logistic regression on pooled states (N, C), drawn to what the current head says of the states `around` (M, C).

    Minimises the weighted log loss plus pull / 2 times the mean squared difference from the current logits there: the
    current head is its own teacher. A direction in which those states do not differ is not free: it costs alike.
    """
    centre = around.mean(0)
    spread = np.cov(around.T) + 1e-9 * np.eye(around.shape[1])
    values, axes = np.linalg.eigh(spread)
    values = np.maximum(values, values.max() * 1e-4)
    turn = axes / np.sqrt(values)  # to axes along which the states around have unit spread
    inner, signs = (states - centre) @ turn, spam * 2.0 - 1.0
    start = states @ current.weight + current.bias

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signs * (start + inner @ point[:-1] + point[-1])
        slope = -weights * signs * expit(-margin)
        value = weights @ np.logaddexp(0, -margin) + pull * (point @ point) / 2
        return float(value), np.append(inner.T @ slope, slope.sum()) + pull * point

    found = minimize(loss, np.zeros(states.shape[1] + 1), jac=True, method="L-BFGS-B").x
    moved = turn @ found[:-1]
    return Head((current.weight + moved).astype(np.float32), float(current.bias + found[-1] - centre @ moved))


def fit_together(
    current: Ensemble, standing: np.ndarray, spam: np.ndarray, mail: np.ndarray, weights: np.ndarray, *, pull: float
) -> dict[str, Any]:
    """The ensemble with its weights and biases fitted to standings (N, 3) of messages that the stages had not seen.

    Weights are drawn to the current ones, in shares of them, and do not fall below a tenth. A mode of which the
    messages lack a class stays as it was.
    """
    made = {mode: dict(how) for mode, how in current.items()}
    for mode, mask in (("mail", mail), ("text", ~mail)):
        if len(np.unique(spam[mask])) < 2:
            continue
        parts = counted(current, standing[mask], np.full(mask.sum(), mode == "mail"))
        signs, bias, weight = spam[mask] * 2.0 - 1.0, float(current[mode]["bias"]), weights[mask]

        def loss(
            point: np.ndarray,
            parts: np.ndarray = parts, signs: np.ndarray = signs, bias: float = bias, weight: np.ndarray = weight,
        ) -> tuple[float, np.ndarray]:  # fmt: skip
            margin = signs * (parts @ point[:-1] + bias + point[-1])
            slope = -weight * signs * expit(-margin)
            away = point - np.array([1.0] * len(STAGES) + [0.0])
            value = weight @ np.logaddexp(0, -margin) + pull * (away @ away) / 2
            return float(value), np.append(parts.T @ slope, slope.sum()) + pull * away

        begin = np.array([1.0] * len(STAGES) + [0.0])
        bounds = [(0.1, 10.0)] * len(STAGES) + [(None, None)]
        found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x
        stages = {
            stage: {**current[mode]["stages"][stage], "weight": current[mode]["stages"][stage]["weight"] * factor}
            for stage, factor in zip(STAGES, found[:-1].tolist(), strict=True)
        }
        made[mode] = {"bias": bias + float(found[-1]), "stages": stages}
    return made
