"""How much each correction counts: copies count once, nobody outvotes the others, and what is likely wrong counts less.

People correct in haste, and who wants spam to pass may correct on purpose. How often each reporter errs, calling ham
spam or spam ham, is read from how their labels agree with each other and with what two models say that had not seen
the label: the one in service, and one fitted on the other corrections (Dawid and Skene 1979; with a model as one of
the witnesses: Raykar et al. 2010). A label weighs what is left of it then; nobody's label is ever turned around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from trainer.inputs import Inputs

CAPPED_FROM = 3
"""So many reporters, and none may have more than the largest share."""
USUALLY_WRONG = 0.01
"""The share of wrong labels that is expected of people before anything is known of them."""
HEARD_TO = 0.1
"""Who is likely wrong in more of his labels does not judge a model by them."""
HOLDS_FROM = 0.1
"""Ham that is as likely right holds thresholds up in full, where its reporter is heard: what models are sure is spam
may as well be ham that they mistake."""
_AT_FIRST = (1.0, 0.0, 0.0)  # what the other corrections' model says, the model in service, a constant
_ERRS_AT_FIRST = 0.05
_PULL = 10.0  # messages
_TURNS = 40


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


@dataclass(frozen=True, slots=True)
class Belief:
    """How likely each label (N,) is right, and by reporter the shares of his ham labels and of his spam labels that
    are likely wrong."""

    right: np.ndarray
    wrong: Mapping[str, tuple[float, float]]

    def heard(self, who: np.ndarray) -> np.ndarray:
        """Whose labels (N,) bool may judge a model: not those of who is likely wrong in more than HEARD_TO of his ham
        or spam labels."""
        return np.array([max(self.wrong.get(str(name), (0.0,))) <= HEARD_TO for name in who], bool)

    def holds(self, who: np.ndarray) -> np.ndarray:
        """How much each label counts (N,), 0 to 1, where ham is to be kept from harm, by who said it (N,)."""
        kept: np.ndarray = np.where(self.heard(who), np.minimum(self.right / HOLDS_FROM, 1.0), self.right)
        return kept


def believed(corrections: Corrections, now: np.ndarray, others: np.ndarray, *, sure: float) -> Belief:
    """What to believe, by the logits (N,) of the model in service and of one fitted on other corrections.

    Expectation and maximisation by turns: what each group of copies is, given what people said and both logits; then
    how often each reporter errs in each class, drawn to what is usual among them, and how far the logits are to be
    trusted here. However certain, the models count for no more than a logit of `sure`. With fewer than CAPPED_FROM
    reporters every label is believed: what one person says against a model is what it has to learn.
    """
    names, place = np.unique(corrections.who, return_inverse=True)
    said = corrections.spam == 1
    if len(names) < CAPPED_FROM:
        return Belief(np.ones(len(said)), {})
    _, group, size = np.unique(corrections.group, return_inverse=True, return_counts=True)
    _, pair, times = np.unique(group * len(names) + place, return_inverse=True, return_counts=True)
    voice, share = 1.0 / times[pair], 1.0 / size[group]
    known = np.column_stack([others, now, np.ones(len(said))])
    scale = np.array(_AT_FIRST)
    errs = np.full((2, len(names)), _ERRS_AT_FIRST)  # of what is ham, of what is spam: the share called otherwise
    spam = said.astype(float)
    for _ in range(_TURNS):
        told = np.where(said, np.log((1 - errs[1]) / errs[0])[place], np.log(errs[1] / (1 - errs[0]))[place])
        models = np.clip(known @ scale, -sure, sure)
        spam = expit(np.bincount(group, weights=models * share + told * voice))[group]
        for label, is_so in enumerate((1 - spam, spam)):
            errs[label] = _shares_wrong(is_so * voice, is_so * voice * (said != label), place)
        scale = _scaled(known, spam, share, scale)
    right = np.where(said, spam, 1 - spam)
    wrong = [_shares_wrong(voice * of, voice * of * (1 - right), place) for of in (~said, said)]
    return Belief(right, {str(name): (float(wrong[0][n]), float(wrong[1][n])) for n, name in enumerate(names)})


def _shares_wrong(of: np.ndarray, wrong: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Each reporter's share of wrong ones (P,), from weights (N,): drawn to the median reporter's, as if that had been
    seen on _PULL messages more; the median is drawn to USUALLY_WRONG."""
    counts, errors = (np.bincount(place, weights=weights) for weights in (of, wrong))
    usual = np.median((errors + _PULL * USUALLY_WRONG) / (counts + _PULL))
    return np.asarray(np.clip((errors + _PULL * usual) / (counts + _PULL), 0.001, 0.999))


def _scaled(known: np.ndarray, spam: np.ndarray, weights: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Two Newton steps (3,) of the logistic fit that turns logits into what is likely spam; a step is at most 1."""
    pull = np.array([_PULL, _PULL, 1.0])
    for _ in range(2):
        found = expit(known @ scale)
        slope = known.T @ (weights * (found - spam)) + pull * (scale - _AT_FIRST)
        bend = (known.T * (weights * np.maximum(found * (1 - found), 1e-4))) @ known + np.diag(pull)
        step = np.linalg.solve(bend, slope)
        scale = scale - step / max(1.0, float(np.abs(step).max()))
    return scale
