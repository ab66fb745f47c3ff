"""Fits the cascade's bands: where may the GPT be spared, so that one verdict of a thousand turns at most?

Read from messages that no scoring model had seen: held-out ones from home, and whole sources that were left out. A band
knows the messages that it was fitted on, so each is judged by a band that was fitted on the other half; and every
origin must keep the bound by itself, at several operating points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spamfilter.classifier.cascade import Band, logit
from trainer.stacking import Calibration, Unseen, evidence_sum, shares_without

MOST_TURNED = 0.001
"""Share of an origin's verdicts that may differ from the full ensemble's."""
RANGES = 12
TAILS = (0.05, 0.03, 0.02, 0.015, 0.01, 0.007, 0.005, 0.003, 0.002, 0.001, 0.0)
"""Shares of a range's messages that may lie below `low`, and above `high`: the largest that keeps the bound wins."""
UNSURE_RATE, SPAM_RATES = 0.1, (0.005, 0.001, 0.002, 0.01)
"""Budgets whose thresholds must keep the bound; the first of the spam budgets is the default one."""
_LEAST_MESSAGES = 1000  # an origin with fewer cannot show the bound by itself


@dataclass(frozen=True, slots=True)
class Contribution:
    """Messages of one origin and mode: the fast stages' logits (N,), and what the GPT added to them (N,)."""

    origin: str
    fast: np.ndarray
    added: np.ndarray

    def half(self, number: int) -> Contribution:
        """Every second message, from the one of that number on."""
        return Contribution(self.origin, self.fast[number::2], self.added[number::2])


def fit(parts: Sequence[Unseen], calibration: Calibration, thresholds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The manifest's `cascade` for a table of thresholds: bands by mode; what they spare and turn, by mode and origin.

    A mode whose messages cannot show the bound gets no band: there the GPT judges every message.
    """
    at = {row["false_positive_rate"]: row["probability"] for row in thresholds}
    unsure = at.get(UNSURE_RATE, max(at.values(), default=1.0))
    points = [tuple(logit(p) for p in (min(unsure, at[rate]), at[rate])) for rate in SPAM_RATES if rate in at]
    bands, measured = {}, {}
    for mode in ("mail", "text"):
        found = contributions(parts, calibration, mode)
        for tail in TAILS if found and points else ():
            figures = [measure(found, tail, turns) for turns in points]
            if all(_kept(figure) for figure in figures):
                bands[mode] = band_of(found, tail).as_json()
                measured[mode] = {"tail": tail, "origins": figures[0]}
                break
    return {"bands": bands, "measured": measured}


def contributions(parts: Sequence[Unseen], calibration: Calibration, mode: str) -> list[Contribution]:
    """What the GPT added, by origin; origins without messages of the mode are left out."""
    found = []
    for part in parts:
        rows = part.mail if mode == "mail" else ~part.mail
        if rows.any():
            scale, bias = calibration.scales[mode]
            fast = scale * evidence_sum(part, shares_without("gpt")) + bias
            whole = scale * evidence_sum(part) + bias
            found.append(Contribution(part.name, fast[rows], (whole - fast)[rows]))
    return found


def band_of(found: Sequence[Contribution], tail: float) -> Band:
    """The band of all given messages; `tail` of the messages in each range lie beyond either end."""
    fast, added = np.concatenate([one.fast for one in found]), np.concatenate([one.added for one in found])
    edges = np.unique(np.quantile(fast, np.linspace(0, 1, RANGES + 1)[1:-1]))
    at = np.searchsorted(edges, fast)
    ranges = [added[at == place] for place in range(len(edges) + 1)]
    values = [np.quantile(inside if len(inside) else added, (tail, 0.5, 1 - tail)) for inside in ranges]
    low, middle, high = (tuple(map(float, column)) for column in zip(*values, strict=True))
    return Band(tuple(map(float, edges)), low, middle, high)


def measure(found: Sequence[Contribution], tail: float, turns: Sequence[float]) -> dict[str, dict[str, float]]:
    """By origin: messages, share that asks the GPT, share whose verdict turns; each half by the other half's band."""
    figures = {one.origin: np.zeros(2) for one in found}
    for half in (0, 1):
        band = band_of([one.half(1 - half) for one in found], tail)
        for one in found:
            figures[one.origin] += outcomes(one.half(half), band, turns).sum(0)
    return {
        one.origin: {
            "messages": len(one.fast),
            "asked": round(figures[one.origin][0] / len(one.fast), 4),
            "turned": round(figures[one.origin][1] / len(one.fast), 6),
        }
        for one in found
    }


def outcomes(messages: Contribution, band: Band, turns: Sequence[float]) -> np.ndarray:
    """(N, 2) bool: was the GPT asked, and did the verdict turn?"""
    rows = []
    for fast, added in zip(messages.fast.tolist(), messages.added.tolist(), strict=True):
        instead = band.instead(fast, turns)
        turned = instead is not None and _side(fast + instead, turns) != _side(fast + added, turns)
        rows.append((instead is None, turned))
    return np.array(rows, bool).reshape(-1, 2)


def _kept(figures: Mapping[str, Mapping[str, float]]) -> bool:
    """The bound holds for all together, and for each origin that has messages enough to show it."""
    turned = sum(row["turned"] * row["messages"] for row in figures.values())
    alone = [row["turned"] for row in figures.values() if row["messages"] >= _LEAST_MESSAGES]
    return max(turned / sum(row["messages"] for row in figures.values()), *alone, 0.0) <= MOST_TURNED


def _side(total: float, turns: Sequence[float]) -> int:
    return sum(total >= turn for turn in turns)
