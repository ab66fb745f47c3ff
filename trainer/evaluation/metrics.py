"""Figures of a spam filter, from the cost of a mistake to calibration. Spam is the positive class.

A cut is never placed in the middle of equal scores: what lies at a cut counts as below it, so that a filter that gives
many messages the same score is not flattered. A figure that is not defined (no ham, no spam) is NaN, never 0.
Sources: SC %, BH %: Almeida, Gomez Hidalgo, Yamakami 2011; 1-ROCA %: TREC Spam Track 2005-2007; MCC: Matthews 1975.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.errors import DataError

ECE_BINS = 15


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure is called and shown. `better` is 1 where more is better, -1 where less is, 0 for counts."""

    title: str
    format: str
    better: int
    factor: float = 1.0
    """What the stored value is multiplied with to be shown (100 for shares shown as percent)."""
    short: str = ""
    """A name for narrow terminals, where the title is long."""

    def show(self, value: float) -> str:
        """The value for people; a dash where it is not defined."""
        return "–" if math.isnan(value) else format(self.factor * value, self.format)


FIGURES: dict[str, Figure] = {
    "ham": Figure("ham", ".0f", 0),
    "spam": Figure("spam", ".0f", 0),
    "tn": Figure("ham passed", ".0f", 1),
    "fp": Figure("ham blocked", ".0f", -1),
    "fn": Figure("spam passed", ".0f", -1),
    "tp": Figure("spam blocked", ".0f", 1),
    "accuracy": Figure("accuracy %", ".2f", 1, 100, "acc %"),
    "precision": Figure("precision %", ".2f", 1, 100),
    "recall": Figure("recall %", ".2f", 1, 100),
    "f1": Figure("F1", ".4f", 1),
    "spam_caught_percent": Figure("SC %", ".2f", 1),
    "blocked_ham_percent": Figure("BH %", ".3f", -1),
    "mcc": Figure("MCC", ".4f", 1),
    "roc_auc": Figure("ROC AUC", ".5f", 1, short="AUC"),
    "one_minus_roca_percent": Figure("1-ROCA %", ".3f", -1),
    "recall_at_0.1": Figure("recall % at FPR 0.1 %", ".1f", 1, 100, "R@0.1%"),
    "recall_at_0.5": Figure("recall % at FPR 0.5 %", ".1f", 1, 100, "R@0.5%"),
    "ece": Figure("ECE", ".4f", -1),
    "brier": Figure("Brier", ".4f", -1),
}
"""Every figure of `figures`, in its order."""


def figures(
    spam: np.ndarray, score: np.ndarray, *, threshold: float = 0.5, probability: np.ndarray | None = None
) -> dict[str, float]:
    """All of FIGURES, in that order.

    `spam` (N,) 0/1; `score` (N,) of any scale, higher is more spam; a message at or above `threshold` is called spam;
    `probability` (N,) 0-1 where the scores have one (else ECE and Brier are NaN). Raises DataError for what cannot be
    measured: no messages, unequal lengths, labels that are neither 0 nor 1, NaN scores.
    """
    spam, score = checked(spam, score)
    tn, fp, fn, tp = confusion(spam, score >= threshold)
    auc = area(spam, score)
    calibrated = probability is not None
    if probability is not None:
        spam, probability = checked(spam, probability, "probabilities")
        if probability.min() < 0 or probability.max() > 1:
            raise DataError("probabilities must lie between 0 and 1; give scores of other scales as scores only")
    return {
        "ham": tn + fp,
        "spam": fn + tp,
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
        "accuracy": (tn + tp) / len(spam),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "spam_caught_percent": 100 * _share(tp, tp + fn),
        "blocked_ham_percent": 100 * _share(fp, fp + tn),
        "mcc": matthews(tn, fp, fn, tp),
        "roc_auc": auc,
        "one_minus_roca_percent": 100 * (1 - auc),
        "recall_at_0.1": recall_at(spam, score, 0.001),
        "recall_at_0.5": recall_at(spam, score, 0.005),
        "ece": expected_calibration_error(spam, probability) if probability is not None else math.nan,
        "brier": float(((probability - spam) ** 2).mean()) if calibrated else math.nan,
    }


def checked(spam: np.ndarray, score: np.ndarray, what: str = "scores") -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) int and scores (N,) float, or DataError saying what is wrong with which row."""
    spam, score = np.asarray(spam), np.asarray(score, float)
    if spam.ndim != 1 or spam.shape != score.shape:
        raise DataError(f"labels {spam.shape} and {what} {score.shape}: give one of each a message")
    if not len(spam):
        raise DataError("no messages to measure: the set is empty")
    if (bad := np.flatnonzero(np.isnan(score))).size:
        raise DataError(f"{bad.size} of {len(score)} {what} are NaN, the first in row {bad[0]}: leave those rows out")
    if (odd := np.flatnonzero(~np.isin(spam, (0, 1)))).size:
        raise DataError(f"label {spam[odd[0]]!r} in row {odd[0]}: labels are 0 (ham) and 1 (spam)")
    return spam.astype(int), score


def confusion(spam: np.ndarray, called: np.ndarray) -> tuple[int, int, int, int]:
    """(tn, fp, fn, tp) of labels (N,) and what was called spam (N,)."""
    is_spam, called = np.asarray(spam) == 1, np.asarray(called, bool)
    return (
        int((~is_spam & ~called).sum()),
        int((~is_spam & called).sum()),
        int((is_spam & ~called).sum()),
        int((is_spam & called).sum()),
    )


def matthews(tn: int, fp: int, fn: int, tp: int) -> float:
    """Matthews correlation, -1 to 1; 0 where a row or column of the confusion matrix is empty."""
    product = math.prod((tp + fp, tp + fn, tn + fp, tn + fn))
    return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0


def area(spam: np.ndarray, score: np.ndarray) -> float:
    """ROC AUC, equal scores counted half; NaN unless there are both ham and spam."""
    if len(np.unique(spam)) < 2:
        return math.nan
    ranks = np.unique(score, return_inverse=True)[1]  # infinite scores are ranked, too
    return float(roc_auc_score(spam, ranks))


def recall_at(spam: np.ndarray, score: np.ndarray, false_positive_rate: float) -> float:
    """Share of spam above the lowest cut at which at most this share of ham is above it, too; NaN without spam."""
    caught = score[spam == 1] > ham_cut(spam, score, false_positive_rate)
    return float(caught.mean()) if len(caught) else math.nan


def ham_cut(spam: np.ndarray, score: np.ndarray, false_positive_rate: float) -> float:
    """The lowest cut c with share(ham score > c) <= rate."""
    ham = np.sort(score[spam == 0])[::-1]
    allowed = int(np.floor(false_positive_rate * len(ham) + 1e-9))
    return float(ham[allowed]) if allowed < len(ham) else -np.inf


def expected_calibration_error(spam: np.ndarray, probability: np.ndarray, bins: int = ECE_BINS) -> float:
    """ECE (Naeini et al. 2015): mean gap between probability and share of spam over equally wide bins."""
    places = bin_of(probability, bins)
    sums = np.bincount(places, weights=probability - spam, minlength=bins)
    return float(np.abs(sums).sum() / len(spam))


def bin_of(probability: np.ndarray, bins: int = ECE_BINS) -> np.ndarray:
    """The place (N,) of each probability among equally wide bins; 1.0 falls in the last."""
    places: np.ndarray = np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)
    return places


def summary(spam: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """ROC AUC, 1-ROCA in percent, recall at 0.1 % and 0.5 % false positives, counts."""
    spam, score = checked(spam, score)
    auc = area(spam, score)
    return {
        "roc_auc": auc,
        "one_minus_roca_percent": 100 * (1 - auc),
        "recall_at_0.1": recall_at(spam, score, 0.001),
        "recall_at_0.5": recall_at(spam, score, 0.005),
        "ham": int((spam == 0).sum()),
        "spam": int((spam == 1).sum()),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
