"""What a period's mail was like, from the tallies: for overviews, for the choice of thresholds, and for reports.

Counts are by the hour, spreads by the day, both of UTC: `since` and `until` are taken to the beginning of theirs, and
the hour or the day of `until` is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.engine import URL

from spamfilter.store.reading import Reading
from spamfilter.store.schema import hourly, labels, spreads
from spamfilter.store.spans import Counted, Span, Spread, span_of, spans_of
from spamfilter.store.tallies import PROBABILITY, PROBABILITY_BINS, TOOK, day_of, duration_in, hour_of
from spamfilter.verdict import Label

QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Corrections:
    """What people said: messages called spam and ham, by whom, and how (command line, maildir, console...)."""

    spam: int
    ham: int
    by_who: Mapping[str, int]
    by_how: Mapping[str, int]


class Statistics:
    """Reads the tallies. Use it as a context manager, or `close` it; any thread may ask. It raises StoreError only."""

    def __init__(self, url: URL) -> None:
        self._reading = Reading(url, "the statistics")
        self._reading.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._reading.close()

    def hours(self, since: datetime, until: datetime | None = None) -> list[Span]:
        """One span an hour, oldest first, also of hours without mail; at most `until` where given, else the last."""
        end = None if until is None else hour_of(until)
        return spans_of(self._counted(hour_of(since), end), hour_of(since), end, timedelta(hours=1))

    def days(self, since: datetime, until: datetime | None = None) -> list[Span]:
        """One span a UTC day; otherwise like `hours`."""
        end = None if until is None else day_of(until)
        return spans_of(self._counted(day_of(since), end), day_of(since), end, timedelta(days=1))

    def labels(self, since: datetime, until: datetime, *, by_day: bool) -> list[Span]:
        """As `days` or `hours`, but each span tells its count and its labels only: ten times as fast over a month."""
        place, width = (day_of, timedelta(days=1)) if by_day else (hour_of, timedelta(hours=1))
        column, begins, end = hourly.c, place(since), place(until)
        summed = select(column.hour, column.label, func.sum(column.count)).where(*_between(column.hour, begins, end))
        rows = self._reading.rows(summed.group_by(column.hour, column.label).order_by(column.hour))
        counted = [Counted(hour, "", "", label, "", "", False, False, count) for hour, label, count in map(tuple, rows)]
        return spans_of(counted, begins, end, width)

    def total(self, since: datetime, until: datetime | None = None) -> Span:
        """All of it as one span."""
        kinds = [column for column in hourly.c if column.name not in ("hour", "count")]
        wanted = _between(hourly.c.hour, hour_of(since), None if until is None else hour_of(until))
        summed = select(func.min(hourly.c.hour), *kinds, func.sum(hourly.c.count)).where(*wanted).group_by(*kinds)
        return span_of(hour_of(since), map(Counted._make, self._reading.rows(summed)))

    def probabilities(self, since: datetime, until: datetime | None = None, *, model_id: str | None = None) -> Spread:
        """The probabilities that a model gave, or all models."""
        counts = [0] * PROBABILITY_BINS
        for number, count in self._spread(PROBABILITY, since, until, model_id):
            counts[number] = count
        return Spread(counts)

    def latencies(
        self, since: datetime, until: datetime | None = None, *, quantiles: Sequence[float] = QUANTILES
    ) -> dict[str, list[float]]:
        """For each step the milliseconds at the quantiles, right to about 6 %; the slowest step first."""
        column = spreads.c
        named = column.series.startswith(TOOK, autoescape=True)
        wanted = [named, *_between(column.day, day_of(since), None if until is None else day_of(until))]
        counted = select(column.series, column.bin, func.sum(column.count)).where(*wanted)
        steps: dict[str, list[tuple[int, int]]] = {}
        for row in self._reading.rows(counted.group_by(column.series, column.bin).order_by(column.bin)):
            series, number, count = tuple(row)
            if count > 0:
                steps.setdefault(series.removeprefix(TOOK), []).append((number, count))
        found = {step: [_quantile(bins, share) for share in quantiles] for step, bins in steps.items()}
        return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))

    def models(self) -> list[str]:
        """The models that have scored, the latest in service first."""
        column = hourly.c
        latest = select(column.model_id).where(column.model_id != "").group_by(column.model_id)
        return [row[0] for row in self._reading.rows(latest.order_by(func.max(column.hour).desc()))]

    def channels(self) -> list[str]:
        """The ways in by which mail has come."""
        return [row[0] for row in self._reading.rows(select(hourly.c.channel).distinct().order_by(hourly.c.channel))]

    def corrections(self, since: datetime, until: datetime | None = None) -> Corrections:
        """What people said since then and did not take back; for each content what stands, once."""
        column = labels.c
        last = select(func.max(column.id)).where(column.undone.is_(None)).group_by(column.content)
        wanted = [column.id.in_(last), column.label.is_not(None), *_between(column.time, since, until)]
        said: Counter[str] = Counter()
        by_who: Counter[str] = Counter()
        by_how: Counter[str] = Counter()
        statement = select(column.label, column.who, column.how, func.count()).where(*wanted)
        for row in self._reading.rows(statement.group_by(column.label, column.who, column.how)):
            label, who, how, count = tuple(row)
            said[label] += count
            by_who[who] += count
            by_how[how] += count
        return Corrections(said[Label.SPAM], said[Label.HAM], by_who, by_how)

    def _counted(self, since: datetime, until: datetime | None) -> list[Counted]:
        wanted = _between(hourly.c.hour, since, until)
        rows = self._reading.rows(select(hourly).where(*wanted).order_by(hourly.c.hour))
        return list(map(Counted._make, rows))

    def _spread(
        self, series: str, since: datetime, until: datetime | None, model_id: str | None
    ) -> list[tuple[int, int]]:
        column = spreads.c
        wanted = [
            column.series == series,
            *_between(column.day, day_of(since), None if until is None else day_of(until)),
        ]
        if model_id is not None:
            wanted.append(column.model_id == model_id)
        counted = select(column.bin, func.sum(column.count)).where(*wanted).group_by(column.bin)
        return [(number, count) for number, count in map(tuple, self._reading.rows(counted))]


def _between(column: Any, since: datetime, until: datetime | None) -> list[ColumnElement[bool]]:
    return [column >= since] if until is None else [column >= since, column < until]


def _quantile(bins: Sequence[tuple[int, int]], share: float) -> float:
    """The milliseconds below which `share` of all lie. `bins`: number and count, rising, not empty."""
    wanted = share * sum(count for _, count in bins)
    for number, count in bins:
        wanted -= count
        if wanted <= 0:
            return duration_in(number)
    return duration_in(bins[-1][0])
