"""What anybody can have without us: four classifiers of texts, fitted on the same split, beside every figure of ours.

Settings are the ones that are known to do well on mail, kept as first written: sublinear term frequencies,
document frequency of at least two, and for the strongest words and word pairs beside characters within words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from trainer.data.prepared import render_columns
from trainer.errors import DataError

_WORD = r"(?u)\b\w[\w'\-.]*\w\b|\w|[!$%]+"  # signs that spam shouts with are words, too


class Baseline(Protocol):
    """A classifier of texts. `fit` comes first, once; `score` does not depend on what else is scored with a text."""

    threshold: float
    """At or above this score a text is called spam: the method's own default cut, not one chosen on a test set."""
    calibrated: bool
    """True where the logistic function of a score is meant as the probability of spam."""

    def fit(self, texts: Sequence[str], spam: np.ndarray) -> None:
        """Learn from texts and labels (N,) 0/1. Raises DataError when a class is missing (all-ham excepted)."""
        ...

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Scores (N,) float, higher is more spam."""
        ...


class AllHam:
    """The filter that is not there: the share of ham is its accuracy."""

    threshold = 0.5
    calibrated = False

    def fit(self, texts: Sequence[str], spam: np.ndarray) -> None:
        """Nothing to learn."""

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Zeros."""
        return np.zeros(len(texts))


class NaiveBayes:
    """Multinomial naive Bayes over word counts (McCallum and Nigam 1998); scores are log-odds."""

    threshold = 0.0
    calibrated = True

    def __init__(self) -> None:
        self._words = CountVectorizer(token_pattern=_WORD, min_df=2, dtype=np.float32)
        self._model = MultinomialNB(alpha=0.1)

    def fit(self, texts: Sequence[str], spam: np.ndarray) -> None:
        """Count words by class."""
        self._model.fit(self._words.fit_transform(texts), _both(spam))

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Log-odds of spam, which unlike the probability do not saturate."""
        joint = self._model.predict_joint_log_proba(self._words.transform(texts))
        return np.asarray(joint[:, 1] - joint[:, 0], float)


class WordRegression:
    """Logistic regression over TF-IDF words; scores are log-odds."""

    threshold = 0.0
    calibrated = True

    def __init__(self) -> None:
        self._words = TfidfVectorizer(token_pattern=_WORD, min_df=2, sublinear_tf=True, dtype=np.float32)
        self._model = LogisticRegression(C=30.0, solver="liblinear", random_state=0)

    def fit(self, texts: Sequence[str], spam: np.ndarray) -> None:
        """Fit with liblinear."""
        self._model.fit(self._words.fit_transform(texts), _both(spam))

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Log-odds of spam."""
        return np.asarray(self._model.decision_function(self._words.transform(texts)), float)


class WordCharacterSvm:
    """A linear SVM over TF-IDF words (1-2) and characters within words (3-5); scores are margins.

    Features are hashed, so that millions of n-grams of a large corpus take no vocabulary's memory; at these widths
    collisions cost nothing that can be measured.
    """

    threshold = 0.0
    calibrated = False

    def __init__(self) -> None:
        shared: dict[str, Any] = {"alternate_sign": False, "norm": None, "dtype": np.float32}
        self._counters = (
            HashingVectorizer(token_pattern=_WORD, ngram_range=(1, 2), n_features=2**20, **shared),
            HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), n_features=2**20, **shared),
        )
        self._weighers = tuple(TfidfTransformer(sublinear_tf=True) for _ in self._counters)
        self._model = LinearSVC(C=1.0, dual=True, random_state=0)

    def fit(self, texts: Sequence[str], spam: np.ndarray) -> None:
        """Weigh each kind of n-gram to unit length, fit with liblinear."""
        labels = _both(spam)
        blocks = [
            weigher.fit_transform(counter.transform(texts))
            for counter, weigher in zip(self._counters, self._weighers, strict=True)
        ]
        self._model.fit(sparse.hstack(blocks, format="csr", dtype=np.float32), labels)

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Signed distances from the margin's middle."""
        blocks = [
            weigher.transform(counter.transform(texts))
            for counter, weigher in zip(self._counters, self._weighers, strict=True)
        ]
        matrix = sparse.hstack(blocks, format="csr", dtype=np.float32)
        return np.asarray(self._model.decision_function(matrix), float)


BASELINES: dict[str, Callable[[], Baseline]] = {
    "all ham": AllHam,
    "naive Bayes, words": NaiveBayes,
    "logistic regression, words": WordRegression,
    "linear SVM, words + characters": WordCharacterSvm,
}
"""Every baseline over texts by the name that tables show."""


def texts_of(table: pd.DataFrame) -> list[str]:
    """What baselines read: the canonical rendering, head and tail, of a table as `trainer.data.prepared` makes it."""
    return [f"{head}\n{tail}" if tail else head for head, tail in zip(*render_columns(table), strict=True)]


def probabilities(baseline: Baseline, score: np.ndarray) -> np.ndarray | None:
    """Probabilities (N,) of a calibrated baseline's scores, or None."""
    return 0.5 * (1 + np.tanh(np.asarray(score) / 2)) if baseline.calibrated else None


def _both(spam: np.ndarray) -> np.ndarray:
    labels = np.asarray(spam).astype(int)
    if len(np.unique(labels)) < 2:
        raise DataError("a baseline needs ham and spam to learn from; the training part has only one of them")
    return labels
