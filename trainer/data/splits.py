"""Who trains and who judges: grouped splits and folds, a source left out, class balance, the reference's own split.

A group is a campaign (see `duplicates`). But for the reference protocol, which is repeated as it is, no split here has
members of one group on two sides. The same rows and the same seed give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Rows = NDArray[np.int64]
"""Positions in the table."""


def grouped_split(groups: ArrayLike, spam: ArrayLike, shares: Mapping[str, float], seed: int) -> NDArray[np.str_]:
    """A part's name for each row, (N,): whole groups, with about the wanted share of ham and of spam in each part.

    Shares need not add up to 1. Raises ValueError when one is not positive.
    """
    names = list(shares)
    if not names or min(shares.values()) <= 0:
        raise ValueError(f"shares must be positive: {dict(shares)}")
    return np.array(names)[_assigned(groups, spam, list(shares.values()), seed)]


def grouped_folds(groups: ArrayLike, spam: ArrayLike, k: int, seed: int) -> Rows:
    """A fold from 0 to k-1 for each row, (N,): whole groups, ham and spam spread about evenly."""
    if k < 2:
        raise ValueError(f"{k} folds: at least 2 are needed")
    return _assigned(groups, spam, [1.0] * k, seed)


def _assigned(groups: ArrayLike, spam: ArrayLike, shares: Sequence[float], seed: int) -> Rows:
    """Greedy: the groups in random order, big ones first, each to the part that lacks most of what the group has."""
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    labels = np.asarray(spam).astype(np.int64)
    if len(group_of) == 0:
        return np.zeros(0, np.int64)
    counts = np.zeros((group_of.max() + 1, 2))
    np.add.at(counts, (group_of, labels), 1)
    total = np.maximum(counts.sum(axis=0), 1)
    lacking = np.outer(np.array(shares) / sum(shares), total)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    order = shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]
    part_of = np.empty(len(counts), np.int64)
    weight = 1 / total
    share = lacking.copy()
    for group in order:
        has = counts[group]
        part = int(np.argmax((lacking / share.clip(1e-9)) @ (has * weight)))
        part_of[group] = part
        lacking[part] -= has
    return part_of[group_of]


def leave_source_out(
    groups: ArrayLike, sources: ArrayLike, left_out: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(train, test) masks, (N,) each: the source is the test; what shares a group with it is on neither side."""
    group, source = np.asarray(groups), np.asarray(sources)
    test = source == left_out
    if not test.any():
        raise ValueError(f"no source {left_out!r}; there are {', '.join(sorted(set(source.tolist())))}")
    return ~test & ~np.isin(group, group[test]), test


@dataclass(frozen=True, slots=True)
class Balanced:
    """Which rows train, and how much each counts: weights have mean 1."""

    rows: Rows
    weights: NDArray[np.float32]


def natural(spam: ArrayLike, seed: int = 0) -> Balanced:
    """Every row, each counting the same."""
    count = len(np.asarray(spam))
    return Balanced(np.arange(count), np.ones(count, np.float32))


def weights(spam: ArrayLike, seed: int = 0) -> Balanced:
    """Every row; ham and spam count the same in all."""
    labels = np.asarray(spam).astype(np.int64)
    counts = np.bincount(labels, minlength=2)
    present = np.count_nonzero(counts)
    each = len(labels) / (max(present, 1) * np.maximum(counts, 1))
    return Balanced(np.arange(len(labels)), each[labels].astype(np.float32))


def undersample(spam: ArrayLike, seed: int = 123) -> Balanced:
    """As many of the larger class as there are of the smaller, drawn by the seed; then the smaller class, all of it.

    Draws as `DataFrame.sample(n, random_state=seed)` does, as the reference workflow balances its ham.
    """
    labels = np.asarray(spam).astype(bool)
    of_class = {value: np.flatnonzero(labels == value) for value in (False, True)}
    larger = len(of_class[True]) > len(of_class[False])
    smaller = of_class[not larger]
    drawn = pd.Series(of_class[larger]).sample(len(smaller), random_state=seed).to_numpy()
    rows = np.concatenate([drawn, smaller]).astype(np.int64)
    return Balanced(rows, np.ones(len(rows), np.float32))


BALANCES: dict[str, Callable[[ArrayLike, int], Balanced]] = {
    "natural": natural,
    "weights": weights,
    "undersample": undersample,
}


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the rows of each part, in the order in which they are read."""

    train: Rows
    validation: Rows
    test: Rows


REFERENCE_SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def reference_split(spam: ArrayLike, seed: int = 123) -> Split:
    """The reference workflow's split: undersampled, shuffled by the seed, cut 7:1:2; of the SMS 1,045, 149 and 300.

    Not grouped: 36 of those 300 stand word for word in the training part; report `grouped_reference_split` beside it.
    (A table read with quoting has 5,572 rows: the draw is another one, and 37 do.)
    """
    rows = undersample(spam, seed).rows
    shuffled = pd.Series(rows).sample(frac=1, random_state=seed).to_numpy()
    train = int(len(rows) * REFERENCE_SHARES["train"])
    validation = train + int(len(rows) * REFERENCE_SHARES["validation"])
    return Split(shuffled[:train], shuffled[train:validation], shuffled[validation:])


def grouped_reference_split(groups: ArrayLike, spam: ArrayLike, seed: int = 123) -> Split:
    """The same messages in about the same shares, shuffled by the seed, with no group on two sides."""
    rows = undersample(spam, seed).rows
    part = grouped_split(np.asarray(groups)[rows], np.asarray(spam)[rows], REFERENCE_SHARES, seed)
    order = np.random.default_rng(seed).permutation(len(rows))
    rows, part = rows[order], part[order]
    return Split(rows[part == "train"], rows[part == "validation"], rows[part == "test"])
