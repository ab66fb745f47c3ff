"""The arithmetic of the benchmarks: percentiles, rates, ratios, and how many operations a GPT takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0-1) of the values do not exceed; NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of none."""
    return math.fsum(values) / len(values) if values else math.nan


def per_second(count: int, seconds: float) -> float:
    """Messages a second; NaN when nothing was measured."""
    return count / seconds if count and seconds > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Ratio:
    """One rate over another, and what was wanted of it: at least `wanted`, or more than it where `strictly`.

    `by_cpu` is the same ratio by processor time, NaN where there is none.
    """

    what: str
    over: float
    under: float
    wanted: float
    strictly: bool = False
    by_cpu: float = math.nan

    @property
    def value(self) -> float:
        """The ratio; NaN where one of the two was not measured."""
        return self.over / self.under if self.under > 0 else math.nan

    @property
    def kept(self) -> bool | None:
        """Whether it is as wanted; None where it was not measured."""
        if math.isnan(self.value):
            return None
        return self.value > self.wanted if self.strictly else self.value >= self.wanted

    def row(self) -> tuple[str, str, str, str, str]:
        """What, value, by processor time, wanted, kept: for people."""
        wanted = f"{'>' if self.strictly else '>='} {self.wanted:g}"
        kept = {True: "yes", False: "NO", None: "not measured"}[self.kept]
        value, by_cpu = ("-" if math.isnan(number) else f"{number:.2f}" for number in (self.value, self.by_cpu))
        return self.what, value, by_cpu, wanted, kept


@dataclass(frozen=True, slots=True)
class GptShape:
    """What a decoder-only transformer's cost depends on. `hidden` is the width of the feed-forward layer.

    `last_layer_for_last_token`: all but keys and values of the last layer is computed for the last position only.
    """

    layers: int
    channels: int
    hidden: int
    last_layer_for_last_token: bool

    def matrix_flops(self, tokens: int) -> int:
        """Operations (a multiply-add is two) of all matrices with weights, for a window of so many tokens."""
        c = self.channels
        qkv, rest = 3 * c * c, c * c + 2 * c * self.hidden
        full = self.layers - 1 if self.last_layer_for_last_token else self.layers
        total = 2 * tokens * full * (qkv + rest)
        if self.last_layer_for_last_token:
            total += 2 * (tokens * 2 * c * c + c * c + rest)
        return total

    def attention_flops(self, tokens: int, *, causal: bool) -> int:
        """Operations of scores and weighted sums, 2 x 2 T^2 C a layer; with `causal` only those below the diagonal."""
        pairs = tokens * (tokens + 1) // 2 if causal else tokens * tokens
        full = self.layers - 1 if self.last_layer_for_last_token else self.layers
        total = 4 * pairs * self.channels * full
        if self.last_layer_for_last_token:
            total += 4 * tokens * self.channels
        return total
