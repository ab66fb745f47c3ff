"""Counted decisions as values: a stretch of time, and how probabilities were spread over one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from spamfilter.store.tallies import probability_bin, probability_from
from spamfilter.verdict import Label, Thresholds


class Counted(NamedTuple):
    """A row of `hourly`."""

    hour: datetime
    channel: str
    model_id: str
    label: str
    action: str
    failure: str
    asked: bool
    recalled: bool
    number: int


@dataclass(frozen=True, slots=True)
class Span:
    """The decisions of a stretch of time, counted: by label ("unscanned" for none), action, channel, failure, model.

    `asked` is how many the GPT read, `recalled` how many were like a corrected message.
    """

    begins: datetime
    count: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    actions: Mapping[str, int] = field(default_factory=dict)
    channels: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0
    recalled: int = 0

    def share(self, of: int) -> float:
        """A part of all, 0-1; of nothing 0."""
        return of / self.count if self.count else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain data for JSON: the time in ISO 8601."""
        return {**asdict(self), "begins": self.begins.isoformat()}


@dataclass(frozen=True, slots=True)
class Spread:
    """How many scored messages fell into each bin of probability; `tallies.probability_from` tells the bins' edges."""

    counts: Sequence[int]

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.counts)

    def at(self, thresholds: Thresholds) -> dict[Label, int]:
        """What this mail would have got, to the width of a bin (0.1 in log-odds): each belongs to its bin's middle."""
        unsure, spam = _at_or_above(thresholds.unsure_at), _at_or_above(thresholds.spam_at)
        above_unsure, above_spam = sum(self.counts[unsure:]), sum(self.counts[spam:])
        return {
            Label.HAM: self.count - above_unsure,
            Label.UNSURE: above_unsure - above_spam,
            Label.SPAM: above_spam,
        }

    def between(self, edges: Sequence[float]) -> list[int]:
        """The counts gathered between `edges` (n + 1 of them, rising), for a coarser histogram of n columns."""
        numbers = [_at_or_above(edge) for edge in edges]
        return [sum(self.counts[begin:end]) for begin, end in pairwise(numbers)]


def spans_of(rows: Sequence[Counted], begins: datetime, until: datetime | None, width: timedelta) -> list[Span]:
    """Counts in order of time as one span for each `width` from `begins` on."""
    last = rows[-1].hour if rows else begins - width
    end = last + timedelta(microseconds=1) if until is None else until
    by_place: dict[int, list[Counted]] = {}
    for hour, of_hour in groupby(rows, lambda row: row.hour):
        by_place.setdefault((hour - begins) // width, []).extend(of_hour)
    places = max(0, -((begins - end) // width))  # rounded up
    return [span_of(begins + place * width, by_place.get(place, ())) for place in range(places)]


def span_of(begins: datetime, rows: Iterable[Counted]) -> Span:
    """Counts as one span."""
    total = asked_in_all = recalled_in_all = 0
    labels: Counter[str] = Counter()
    actions: Counter[str] = Counter()
    channels: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    models: Counter[str] = Counter()
    for _, channel, model_id, label, action, failure, asked, recalled, count in rows:
        total += count
        asked_in_all += count * asked
        recalled_in_all += count * recalled
        labels[label] += count
        for counter, kind in ((actions, action), (channels, channel), (failures, failure), (models, model_id)):
            if kind:
                counter[kind] += count
    return Span(
        begins,
        total,
        labels=_counted(labels),
        actions=_counted(actions),
        channels=_counted(channels),
        failures=_counted(failures),
        models=_counted(models),
        asked=asked_in_all,
        recalled=recalled_in_all,
    )


def _counted(counter: Counter[str]) -> dict[str, int]:
    """Without what a replaced row has left at 0."""
    return dict(+counter)


def _at_or_above(probability: float) -> int:
    """The first bin whose middle is not below a threshold. 0 takes all in, and nothing is at or above more than 1."""
    number = probability_bin(probability)
    if probability <= 0.0:
        return 0
    middle = (probability_from(number) + probability_from(number + 1)) / 2
    return number if probability <= middle else number + 1
