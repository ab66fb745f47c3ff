"""How the stages' scores become one probability: fixed shares of standardised scores, then a calibrated scale.

Shares are not fitted freely: on mail from home the n-grams are nearly perfect and would take everything, on mail from
elsewhere they are not. Where runs exist that left a whole source out, calibration and thresholds are read from those
scores, since a user's mail is nobody's holdout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

STAGES = ("ngram", "facts", "gpt")
Scores = Mapping[str, np.ndarray]


def standardise(scores: np.ndarray, spam: np.ndarray) -> float:
    """Half the distance between the classes' mean scores: the unit in which a stage's evidence is counted."""
    return float(max((scores[spam == 1].mean() - scores[spam == 0].mean()) / 2, 1e-6))


def platt(score: np.ndarray, spam: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Scale and bias of a logistic calibration (Platt 1999)."""
    spread = float(score.std()) or 1.0
    model = LogisticRegression(C=10.0).fit(score[:, None] / spread, spam, sample_weight=weights)
    return float(model.coef_[0, 0]) / spread, float(model.intercept_[0])


def combine(mode: Mapping[str, Any], scores: Scores) -> np.ndarray:
    """Calibrated logits (N,) of one mode."""
    return mode["bias"] + sum(weight * scores[stage] for stage, weight in mode["weights"].items())


def fit_mode(
    units: Mapping[str, float], shares: Mapping[str, float], scores: Scores, spam: np.ndarray, weights: np.ndarray
) -> dict[str, Any]:
    """Weights and bias under which `combine` is calibrated on the given messages."""
    raw = sum(share * scores[stage] / units[stage] for stage, share in shares.items())
    scale, bias = platt(np.asarray(raw), spam, weights)
    return {"weights": {stage: scale * share / units[stage] for stage, share in shares.items()}, "bias": bias}


def threshold_table(probability: np.ndarray, spam: np.ndarray, rates: Sequence[float]) -> list[dict[str, float]]:
    """For each rate the least probability at or above which at most that share of ham lies, and the spam caught there.

    Rates finer than one message of the ham given are left out.
    """
    ham = np.sort(probability[spam == 0])[::-1]
    table = []
    for rate in rates:
        allowed = int(rate * len(ham))
        if allowed < 1:
            continue
        threshold = math.floor(float(ham[allowed]) * 1e6 + 1) / 1e6  # rounded up: never more ham than the rate
        table.append(
            {
                "false_positive_rate": rate,
                "probability": min(threshold, 1.0),
                "recall": round(float((probability[spam == 1] >= threshold).mean()), 4),
            }
        )
    return table
