"""Fits the linear stages with liblinear: hashed n-grams, and facts about headers and structure."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from rich.progress import track
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.svm import LinearSVC

from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import DIMENSION, NgramModel, features, passages, weigh, whole
from trainer.priors import prior_weights


@dataclass(frozen=True, slots=True)
class Counts:
    """Damped n-gram counts of N messages: of each as a whole, CSR (N, DIMENSION) float32, and of the passages of the
    long ones, CSR (P, DIMENSION), with where those of each message begin, (N + 1,)."""

    whole: sparse.csr_matrix
    passages: sparse.csr_matrix
    starts: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Counts:
        sizes = np.diff(self.starts)[rows]
        places = np.repeat(self.starts[rows], sizes) + _ramp(sizes)
        return Counts(self.whole[rows], self.passages[places], np.concatenate([[0], np.cumsum(sizes)]))

    def __len__(self) -> int:
        return len(self.starts) - 1


def _ramp(sizes: np.ndarray) -> np.ndarray:
    """0, 1, ... n-1 for each size n, one after another."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)


def count(heads: list[str], tails: list[str], workers: int = 2) -> Counts:
    """n-gram counts of rendered messages; for thousands of them."""
    rendered = list(zip(heads, tails, strict=True))
    blocks = [rendered[i : i + 500] for i in range(0, len(rendered), 500)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        found = list(track(pool.map(counts_of, blocks), "n-grams", total=len(blocks)))
    sizes = np.concatenate([np.diff(one.starts) for one in found])
    return Counts(
        sparse.vstack([one.whole for one in found], format="csr"),
        sparse.vstack([one.passages for one in found], format="csr"),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
    )


def counts_of(rendered: Sequence[tuple[str, str]]) -> Counts:
    """n-gram counts of heads and tails, in this process; about a millisecond each."""
    pieces = [passages(head, tail) for head, tail in rendered]
    starts = np.concatenate([[0], np.cumsum([len(some) for some in pieces])]).astype(np.int64)
    return Counts(
        _matrix([whole(head, tail) for head, tail in rendered]),
        _matrix([one for some in pieces for one in some]),
        starts,
    )


def _matrix(texts: list[str]) -> sparse.csr_matrix:
    found = [features(text) for text in texts]
    ends = np.concatenate([[0], np.cumsum([len(ids) for ids, _ in found])]).astype(np.int64)
    ids = np.concatenate([np.zeros(0, np.int32), *(ids for ids, _ in found)])
    values = np.concatenate([np.zeros(0, np.float32), *(values for _, values in found)])
    return sparse.csr_matrix((values, ids, ends), (len(texts), DIMENSION))


def fit_ngram(counts: Counts, spam: np.ndarray, weights: np.ndarray, *, cost: float = 1.0) -> NgramModel:
    """A linear SVM over TF-IDF n-grams of whole messages; `weights` (N,) weigh messages (source balance)."""
    matrix = counts.whole.copy()
    seen = np.bincount(matrix.indices, minlength=DIMENSION)
    idf = (np.log((1 + len(spam)) / (1 + seen)) + 1).astype(np.float32)
    idf[seen < 2] = 0.0  # a feature of one message is that message's name
    _weigh_rows(matrix, idf)
    model = LinearSVC(C=cost, dual=True, max_iter=200, tol=1e-3, random_state=0)
    model.fit(matrix, spam, sample_weight=weights)
    return NgramModel(model.coef_[0].astype(np.float32), idf, float(model.intercept_[0]))


def score_ngram(model: NgramModel, counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Linear scores (N,), and which passage (N,) of each message is the worst, 0 where there are none."""
    scores = _scored(model, counts.whole)
    parts = _scored(model, counts.passages)
    worst = np.zeros(len(counts), np.int64)
    for row in np.flatnonzero(np.diff(counts.starts)):
        mine = parts[counts.starts[row] : counts.starts[row + 1]]
        worst[row] = int(np.argmax(mine))
        scores[row] = (scores[row] + mine[worst[row]]) / 2
    return scores, worst


def _scored(model: NgramModel, matrix: sparse.csr_matrix) -> np.ndarray:
    matrix = matrix.copy()
    _weigh_rows(matrix, model.idf)
    return np.asarray(matrix @ model.weights) + model.bias


def _weigh_rows(matrix: sparse.csr_matrix, idf: np.ndarray) -> None:
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.data[start:end] = weigh(matrix.indices[start:end], matrix.data[start:end], idf)


PULL = 1000.0
"""How hard the facts' weights are drawn to what is known before any training, in messages."""


def fit_facts(
    matrix: np.ndarray, spam: np.ndarray, weights: np.ndarray, *, prior: np.ndarray | None = None, pull: float = PULL
) -> FactsModel:
    """Logistic regression over facts (N, F), NaN for unknown, with a Gaussian prior around `prior` (F,).

    A weight keeps its prior's sign; a fact without a prior weight stays out. Minimises the weighted log loss plus
    pull / 2 x |w - prior|^2 (the maximum a posteriori of Bishop 2006, 4.5).
    """
    prior = prior_weights() if prior is None else prior
    facts, kept, signs = np.nan_to_num(matrix).astype(np.float64), prior != 0, spam * 2.0 - 1.0

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signs * (facts @ point[:-1] + point[-1])
        slope = -weights * signs * expit(-margin)
        away = point[:-1] - prior
        gradient = (facts.T @ slope + pull * away) * kept
        value = weights @ np.logaddexp(0, -margin) + pull * (away @ away) / 2
        return float(value), np.concatenate([gradient, [slope.sum()]])

    bounds = [(0, None) if w > 0 else (None, 0) if w < 0 else (0, 0) for w in prior] + [(None, None)]
    found = minimize(loss, np.concatenate([prior, [0.0]]), jac=True, method="L-BFGS-B", bounds=bounds)
    return FactsModel(found.x[:-1].astype(np.float32), float(found.x[-1]))


def source_weights(sources: np.ndarray, spam: np.ndarray) -> np.ndarray:
    """Weights (N,), mean 1, under which a source counts by the square root of its size, and its classes alike."""
    weights = np.ones(len(sources))
    for source in np.unique(sources):
        rows = sources == source
        classes = [rows & (spam == label) for label in (0, 1) if (rows & (spam == label)).any()]
        for members in classes:
            weights[members] = np.sqrt(rows.sum()) / len(classes) / members.sum()
    return weights / weights.mean()
