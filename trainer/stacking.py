"""How the stages' scores become one probability: fixed shares of standardised scores, then a calibrated scale.

Shares are not fitted freely: on mail from home the n-grams are nearly perfect and would take everything, on mail from
elsewhere they are not. Calibration and thresholds are read from messages that no scoring model had seen, most of all
from whole sources that were left out of training, since a user's mail is nobody's holdout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from spamfilter.drift import snapshot_of
from trainer.linear import source_weights

STAGES = ("ngram", "facts", "gpt")
SHARES: dict[str, dict[str, float]] = {
    "mail": {"ngram": 1.0, "facts": 0.5, "gpt": 0.2},
    "text": {"ngram": 1.0, "facts": 0.25, "gpt": 0.25},
}
"""What a unit of each stage's evidence counts, for mail with headers and for bare text; a compromise between left-out
sources, which want more of facts and GPT, and held-out mail from home, which wants n-grams alone."""
BOUNDED: dict[str, frozenset[str]] = {"mail": frozenset({"facts"}), "text": frozenset()}
"""Stages whose evidence saturates (tanh): twenty facts that a newsletter shares with spam are not twenty proofs."""
RATES = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
_LEAST_HAM = 200  # a source with fewer cannot say what half a percent of ham is

Scores = Mapping[str, np.ndarray]
Units = Mapping[str, Mapping[str, tuple[float, float]]]
"""Centre and unit of a stage's scores, by mode and stage."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Messages of one origin that no scoring model had seen: scores (N,) by stage, labels (N,), has headers (N,).

    `units` are those of the models that gave the scores.
    """

    name: str
    scores: Scores
    spam: np.ndarray
    mail: np.ndarray
    source: np.ndarray
    units: Units


def units_of(scores: Scores, spam: np.ndarray, mail: np.ndarray) -> Units:
    """By mode and stage: the middle between the classes' mean scores, and half the distance between them.

    A mode without ham and spam takes the other mode's messages, too.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for mode, mask in _modes(spam, mail):
        found[mode] = {stage: standing(values[mask], spam[mask]) for stage, values in scores.items()}
    return found


def standing(score: np.ndarray, spam: np.ndarray) -> tuple[float, float]:
    """The middle between the classes' mean scores, and half the distance between them."""
    low, high = (float(score[spam == label].mean()) for label in (0, 1))
    return (low + high) / 2, max((high - low) / 2, 1e-6)


def _modes(spam: np.ndarray, mail: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each mode with its rows (N,) bool; with all rows where its own lack a class."""
    for mode, mask in (("mail", mail), ("text", ~mail)):
        yield mode, mask if len(np.unique(spam[mask])) == 2 else np.ones(len(spam), bool)


def shares_without(stage: str) -> dict[str, dict[str, float]]:
    """SHARES less one stage: what the others reach on their own."""
    return {mode: {name: share for name, share in of.items() if name != stage} for mode, of in SHARES.items()}


def origin_weights(parts: Sequence[Unseen]) -> np.ndarray:
    """Weights of all parts' messages: a source counts by the root of its size, apart in each part."""
    origin = np.concatenate([np.char.add(f"{part.name}/", part.source.astype(str)) for part in parts])
    return source_weights(origin, np.concatenate([part.spam for part in parts]))


def evidence_sum(unseen: Unseen, shares: Mapping[str, Mapping[str, float]] = SHARES) -> np.ndarray:
    """The uncalibrated sum (N,) of standardised scores."""
    total = np.zeros(len(unseen.spam))
    for mode, mask in (("mail", unseen.mail), ("text", ~unseen.mail)):
        for stage, share in shares[mode].items():
            centre, unit = unseen.units[mode][stage]
            total[mask] += share * standard(unseen.scores[stage][mask], centre, unit, stage in BOUNDED[mode])
    return total


def standard(score: np.ndarray, centre: float, unit: float, bounded: bool) -> np.ndarray:
    """Scores (N,) in units from the centre, as the served ensemble counts them."""
    value = (score - centre) / unit
    return np.tanh(value) if bounded else value


def platt(score: np.ndarray, spam: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Scale and bias of a logistic calibration (Platt 1999)."""
    spread = float(score.std()) or 1.0
    model = LogisticRegression(C=10.0).fit(score[:, None] / spread, spam, sample_weight=weights)
    return float(model.coef_[0, 0]) / spread, float(model.intercept_[0])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scale and bias of the sum, by mode."""

    scales: Mapping[str, tuple[float, float]]

    @classmethod
    def fit(cls, parts: Sequence[Unseen]) -> Calibration:
        """On all parts together; a source counts by the root of its size, apart in each part, and its classes alike."""
        total = np.concatenate([evidence_sum(part) for part in parts])
        spam = np.concatenate([part.spam for part in parts])
        mail = np.concatenate([part.mail for part in parts])
        weights = origin_weights(parts)
        return cls({mode: platt(total[mask], spam[mask], weights[mask]) for mode, mask in _modes(spam, mail)})

    def probability(self, part: Unseen) -> np.ndarray:
        """Calibrated probabilities (N,)."""
        total = evidence_sum(part)
        scale = np.where(part.mail, self.scales["mail"][0], self.scales["text"][0])
        bias = np.where(part.mail, self.scales["mail"][1], self.scales["text"][1])
        return np.asarray(0.5 * (1 + np.tanh((scale * total + bias) / 2)))

    def weights(self, units: Units) -> dict[str, Any]:
        """The manifest's `ensemble`: how each stage's score is counted, and a bias, by mode."""
        return {
            mode: {
                "bias": bias,
                "stages": {
                    stage: {
                        "weight": scale * share,
                        "centre": units[mode][stage][0],
                        "unit": units[mode][stage][1],
                        "bounded": stage in BOUNDED[mode],
                    }
                    for stage, share in SHARES[mode].items()
                },
            }
            for mode, (scale, bias) in self.scales.items()
        }


def threshold_table(
    found: Sequence[tuple[np.ndarray, np.ndarray]], rates: Sequence[float] = RATES
) -> list[dict[str, float]]:
    """For each rate the least probability at or above which no origin has more than that share of its ham.

    `found` holds probabilities (N,) and labels (N,) of each origin. An origin whose ham cannot show a rate does not
    speak of it; rates that none can show are left out. `recall` is the share of all spam at or above.
    """
    table = []
    spam = np.concatenate([p[s == 1] for p, s in found])
    for rate in rates:
        cuts = []
        for probability, labels in found:
            ham = np.sort(probability[labels == 0])[::-1]
            allowed = int(rate * len(ham))
            if len(ham) >= _LEAST_HAM and allowed >= 1:
                cuts.append(float(ham[allowed]))
        if cuts:
            threshold = min(math.floor(max(cuts) * 1e6 + 1) / 1e6, 1.0)  # rounded up: never more ham than the rate
            recall = round(float((spam >= threshold).mean()), 4)
            table.append({"false_positive_rate": rate, "probability": threshold, "recall": recall})
    return table


def snapshot(
    thresholds: Sequence[Mapping[str, float]], found: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Mapping[str, Any]:
    """How probabilities were spread when this model was made, at the default budgets; drift is measured against it."""
    at = {row["false_positive_rate"]: row["probability"] for row in thresholds}
    spam_at = at.get(0.005, max(at.values(), default=1.0))
    probability, spam = (np.concatenate(column) for column in zip(*found, strict=True))
    return snapshot_of(probability, spam, min(at.get(0.1, spam_at), spam_at), spam_at)
