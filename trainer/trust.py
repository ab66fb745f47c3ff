"""How much each correction counts: copies count once, nobody outvotes the others, and lone contradictions less.

People correct in haste, and who wants spam to pass may correct on purpose. A correction is doubted where the model in
service and a model fitted on the other corrections both contradict it strongly and nobody else said the same of
the like; it is heard all the same, only less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.inputs import Inputs

CAPPED_FROM = 3
"""So many reporters, and none may have more than the largest share."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """N corrected messages: what the stages read of them, labels (N,), who corrected (N,), near-duplicate group (N,),
    and when, in seconds (N,)."""

    inputs: Inputs
    spam: np.ndarray
    who: np.ndarray
    group: np.ndarray
    time: np.ndarray

    def __len__(self) -> int:
        return len(self.spam)

    def __getitem__(self, rows: np.ndarray) -> Corrections:
        return Corrections(self.inputs[rows], self.spam[rows], self.who[rows], self.group[rows], self.time[rows])


def counts_of(corrections: Corrections) -> tuple[int, int]:
    """Near-duplicate groups of ham and of spam."""
    ham, spam = (len(np.unique(corrections.group[corrections.spam == label])) for label in (0, 1))
    return ham, spam


def weights_of(corrections: Corrections, trust: np.ndarray, *, largest: float, balance: float) -> np.ndarray:
    """Weights (N,) with the number of groups as their sum.

    A group counts once, shared among its members; classes are drawn to the same sum by `balance` (0: as they come,
    1: alike); `trust` (N,) is multiplied in; then no reporter has more than the `largest` share, where there are
    CAPPED_FROM or more.
    """
    _, group, size = np.unique(corrections.group, return_inverse=True, return_counts=True)
    weights = 1.0 / size[group]
    groups = weights.sum()
    for label in (0, 1):
        members = corrections.spam == label
        if members.any():
            weights[members] *= (groups / 2 / weights[members].sum()) ** balance
    weights = capped(weights * trust, corrections.who, largest)
    return weights * groups / weights.sum()


def capped(weights: np.ndarray, who: np.ndarray, largest: float) -> np.ndarray:
    """Weights (N,) under which no reporter has more than a share of the sum; where it cannot be, all have alike."""
    names, place = np.unique(who, return_inverse=True)
    if len(names) < CAPPED_FROM:
        return weights
    sums = np.bincount(place, weights=weights)
    low, high = float(sums.min()), float(sums.max())
    if high <= largest * sums.sum():
        return weights
    for _ in range(60):
        middle = (low + high) / 2
        if middle <= largest * np.minimum(sums, middle).sum():
            low = middle
        else:
            high = middle
    capped_weights: np.ndarray = weights * (np.minimum(sums, low) / np.maximum(sums, 1e-12))[place]
    return capped_weights


def trust_in(
    corrections: Corrections, now: np.ndarray, others: np.ndarray, *, doubt_from: float, doubted: float
) -> np.ndarray:
    """Trust (N,), 1 or `doubted`, by the logits (N,) of the model in service and of one fitted on other corrections.

    Doubted are those that both contradict by `doubt_from` or more, unless two people said the same of the group; and
    all that the other corrections contradict of a person of whom they contradict far more than of most. With fewer
    than CAPPED_FROM reporters nothing is: what one person says against a model is what it has to learn.
    """
    if len(np.unique(corrections.who)) < CAPPED_FROM:
        return np.ones(len(corrections))
    against = -(corrections.spam * 2.0 - 1.0)
    alone = np.array([len(people) < 2 for people in _people(corrections)])
    doubtful = (np.minimum(against * now, against * others) >= doubt_from) & alone
    trust: np.ndarray = np.where(doubtful | suspected(corrections, others), doubted, 1.0)
    return trust


def suspected(corrections: Corrections, others: np.ndarray) -> np.ndarray:
    """What the other corrections contradict (N,) bool of people of whom they contradict far more than of most."""
    names, place, size = np.unique(corrections.who, return_inverse=True, return_counts=True)
    contradicted: np.ndarray = (corrections.spam * 2.0 - 1.0) * others < 0
    if len(names) < CAPPED_FROM:
        return np.zeros(len(corrections), bool)
    share = np.bincount(place, weights=contradicted) / size
    usual = float(np.median(share))
    suspect = share > usual + 3 * np.sqrt(np.maximum(usual * (1 - usual), 0.01) / size) + 0.05
    found: np.ndarray = suspect[place] & contradicted
    return found


def _people(corrections: Corrections) -> list[set[str]]:
    said: dict[tuple[str, int], set[str]] = {}
    keys = list(zip(corrections.group.astype(str).tolist(), corrections.spam.tolist(), strict=True))
    for key, who in zip(keys, corrections.who.astype(str).tolist(), strict=True):
        said.setdefault(key, set()).add(who)
    return [said[key] for key in keys]
