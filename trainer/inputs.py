"""What the three stages read of messages, as arrays: the only form in which a retraining sees anybody's mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from spamfilter.classifier.ngram import DIMENSION
from spamfilter.document import Document, render
from spamfilter.facts import NAMES
from trainer.linear import Counts, counts_of


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the stages read of N messages: n-gram counts, facts (N, F), NaN unknown, pooled states (N, C)."""

    counts: Counts
    facts: np.ndarray
    pooled: np.ndarray

    def __len__(self) -> int:
        return len(self.facts)

    def __getitem__(self, rows: np.ndarray) -> Inputs:
        return Inputs(self.counts[rows], self.facts[rows], self.pooled[rows])

    @property
    def mail(self) -> np.ndarray:
        """Where the header facts are known (N,): such messages are put together as mail, others as text."""
        known: np.ndarray = ~np.isnan(self.facts[:, 0])
        return known


def inputs_of(documents: Sequence[Document], pooled: np.ndarray) -> Inputs:
    """Documents with their pooled states (N, C); about a millisecond each."""
    rendered = [render(document) for document in documents]
    facts = np.full((len(documents), len(NAMES)), np.nan, np.float32)
    for row, document in zip(facts, documents, strict=True):
        row[:] = [document.facts.get(name, np.nan) for name in NAMES]
    return Inputs(counts_of(rendered), facts, np.asarray(pooled, np.float32))


def without_passages(messages: sparse.csr_matrix) -> Counts:
    """Counts of messages of which only the whole is known."""
    none = sparse.csr_matrix((0, DIMENSION), dtype=np.float32)
    return Counts(messages, none, np.zeros(messages.shape[0] + 1, np.int64))
