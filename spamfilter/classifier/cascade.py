"""The cascade: n-grams and facts speak first, and the GPT is asked only where its word could turn the verdict.

What the GPT adds to the logit follows in part from what the fast stages say. For each range of the fast logit the
bundle holds what it added to messages that no scoring model had seen: a low, a middle and a high value. Where no
threshold lies between the fast logit plus the low and plus the high value, the verdict stands without the GPT, and the
middle value counts in its place. The bands are fitted so that this turns at most one verdict in a thousand.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


def logit(probability: float) -> float:
    """log(p / (1 - p)); infinite at 0 and 1."""
    if probability <= 0 or probability >= 1:
        return -math.inf if probability <= 0 else math.inf
    return math.log(probability / (1 - probability))


@dataclass(frozen=True, slots=True)
class Band:
    """What the GPT adds to the logit, by range of the fast logit: K - 1 edges between K ranges with three values each.

    Raises ValueError where the numbers do not fit together.
    """

    edges: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        ranges = len(self.edges) + 1
        if not len(self.low) == len(self.middle) == len(self.high) == ranges or list(self.edges) != sorted(self.edges):
            raise ValueError(f"a band of {ranges} ranges needs as many low, middle and high values, and sorted edges")
        if not all(low <= middle <= high for low, middle, high in zip(self.low, self.middle, self.high, strict=True)):
            raise ValueError("a band's middle must lie between its low and its high value")

    def instead(self, fast: float, turns: Sequence[float]) -> float | None:
        """What counts in the GPT's place, or None where it must be asked. `turns` are the thresholds' logits.

        A logit on a threshold has passed it, as in `policy.judge`.
        """
        at = bisect_left(self.edges, fast)
        low, high = fast + self.low[at], fast + self.high[at]
        return None if any(low < turn <= high for turn in turns) else self.middle[at]

    def as_json(self) -> dict[str, list[float]]:
        """For a manifest."""
        return {name: list(getattr(self, name)) for name in ("edges", "low", "middle", "high")}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """From a manifest. Raises ValueError, KeyError or TypeError where it is damaged."""
        return cls(*(tuple(map(float, values[name])) for name in ("edges", "low", "middle", "high")))


@dataclass(frozen=True, slots=True)
class Cascade:
    """Bands by mode (mail, text), and the logits at which the verdict turns."""

    bands: Mapping[str, Band]
    turns: tuple[float, ...]

    @classmethod
    def of(cls, manifest: Mapping[str, Any], turns_at: Sequence[float]) -> Self | None:
        """The cascade for thresholds given as probabilities; None where there are none, or the bundle has no bands."""
        bands = manifest.get("cascade", {}).get("bands")
        if not turns_at or not bands:
            return None
        read = {mode: Band.from_json(values) for mode, values in bands.items()}
        return cls(read, tuple(logit(probability) for probability in turns_at))

    def instead(self, mode: str, fast: float) -> float | None:
        """What counts in the GPT's place for a message of that mode, or None where the GPT must be asked."""
        band = self.bands.get(mode)
        return band.instead(fast, self.turns) if band is not None else None
