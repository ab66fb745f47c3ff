"""Figures of a spam filter: ROC AUC, 1-ROCA %, recall at a false positive rate, ECE. Spam is the positive class."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score


def recall_at(spam: np.ndarray, score: np.ndarray, false_positive_rate: float) -> float:
    """Share of spam above the lowest cut at which at most this share of ham is above it, too."""
    return float((score[spam == 1] > ham_cut(spam, score, false_positive_rate)).mean())


def ham_cut(spam: np.ndarray, score: np.ndarray, false_positive_rate: float) -> float:
    """The lowest cut c with share(ham score > c) <= rate."""
    ham = np.sort(score[spam == 0])[::-1]
    allowed = int(np.floor(false_positive_rate * len(ham) + 1e-9))
    return float(ham[allowed]) if allowed < len(ham) else -np.inf


def expected_calibration_error(spam: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """ECE (Naeini et al. 2015): mean gap between probability and share of spam over equally wide bins."""
    places = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        abs(probability[places == b].mean() - spam[places == b].mean()) * (places == b).mean()
        for b in range(bins)
        if (places == b).any()
    ]
    return float(sum(gaps))


def summary(spam: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """ROC AUC, 1-ROCA in percent, recall at 0.1 % and 0.5 % false positives, counts."""
    auc = float(roc_auc_score(spam, score))
    return {
        "roc_auc": auc,
        "one_minus_roca_percent": 100 * (1 - auc),
        "recall_at_0.1": recall_at(spam, score, 0.001),
        "recall_at_0.5": recall_at(spam, score, 0.005),
        "ham": int((spam == 0).sum()),
        "spam": int((spam == 1).sum()),
    }
