"""The figures of the overview: read from the tallies at most every few seconds, however many look at them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

from markupsafe import Markup
from sqlalchemy.engine import URL

from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import BundleError, open_bundle
from spamfilter.config import Config
from spamfilter.console.aside import aside
from spamfilter.console.charts import Series, bars
from spamfilter.drift import EDGES
from spamfilter.engine.pool import EngineStats
from spamfilter.operating_point import bundle_path
from spamfilter.retrainings import outcomes, said_since
from spamfilter.store.spans import Span
from spamfilter.store.statistics import Corrections, Statistics
from spamfilter.verdict import Label

PERIODS: Mapping[str, tuple[timedelta, bool]] = {
    "24h": (timedelta(hours=23), False),
    "7d": (timedelta(days=6), True),
    "30d": (timedelta(days=29), True),
}
"""How far each goes back, beside the hour or the day that has begun, and whether it is shown by day."""
FRESH_S = 2.0
"""How long the figures by the hour are good for."""
DAYS_FRESH_S = 10.0
"""The same by the day: they cost more to read, and move less in ten seconds."""
_KINDS = (*(str(label) for label in Label), "unscanned")
_STYLES = {"ham": "ham", "unsure": "unsure", "spam": "spam", "unscanned": "muted"}


@runtime_checkable
class Counting(Protocol):
    """An engine that says what it does: `engine.pool.EnginePool`."""

    @property
    def stats(self) -> EngineStats: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """What the overview shows of a period. `took`: milliseconds at 50, 90 and 99 % by step; `rate`: messages an hour.

    `new` is what people said since the last retraining; `engine` is None where it does not count.
    """

    period: str
    total: Span
    took: Mapping[str, Sequence[float]]
    corrections: Corrections
    rates: Markup
    scores: Markup
    model: str
    model_since: datetime | None
    new: Corrections
    worth_from: int
    last_retraining: str
    engine: EngineStats | None

    @property
    def workers(self) -> int:
        """The workers that are ready."""
        return 0 if self.engine is None else len(self.engine.workers)


class Pulse:
    """Reads the figures of a period once for everybody who asks within FRESH_S, or DAYS_FRESH_S where it is by day."""

    def __init__(self, config: Config, database: URL, engine: object) -> None:
        self._config, self._database, self._engine = config, database, engine
        self._turn = asyncio.Lock()
        self._read: dict[str, tuple[float, Figures]] = {}

    async def figures(self, period: str) -> Figures:
        """The figures now, or of a few seconds ago. Raises StoreError."""
        fresh_s = DAYS_FRESH_S if PERIODS[period][1] else FRESH_S
        async with self._turn:
            at, found = self._read.get(period, (0.0, None))
            if found is None or time.monotonic() - at > fresh_s:
                found = await aside(self._figures, period)
                self._read[period] = (time.monotonic(), found)
            return found

    def _figures(self, period: str) -> Figures:
        back, by_day = PERIODS[period]
        now = datetime.now(UTC)
        since, until = now - back, now + timedelta(days=1) if by_day else now + timedelta(hours=1)
        ended = outcomes(self._config.state_dir.absolute())
        with Statistics(self._database) as statistics:
            spans = statistics.labels(since, until, by_day=by_day)
            total = statistics.total(spans[0].begins, until)
            scores = statistics.probabilities(since).between([0.0, *EDGES, 1.0])
            took, corrections = statistics.latencies(since), statistics.corrections(since)
            new = said_since(statistics, ended[0] if ended else None)
        bundles = Bundles(self._config.state_dir.absolute())
        path, history = bundle_path(self._config), bundles.history()
        engine = self._engine.stats if isinstance(self._engine, Counting) else None
        return Figures(
            period=period,
            total=total,
            took=took,
            corrections=corrections,
            rates=_rates(spans, by_day=by_day),
            scores=_scores(scores),
            model=_named(path),
            model_since=history[-1].time if history else None,
            new=new,
            worth_from=self._config.retrain.least_new,
            last_retraining=ended[0].sentence if ended else "",
            engine=engine,
        )


def _named(bundle: Path) -> str:
    """A model's id, or the name of a folder that holds none."""
    try:
        return open_bundle(bundle).model_id
    except BundleError:
        return bundle.name


def _rates(spans: Sequence[Span], *, by_day: bool) -> Markup:
    names = [f"{span.begins:%d %b}" if by_day else f"{span.begins:%H:00}" for span in spans]
    series = [Series(kind, _STYLES[kind], [span.labels.get(kind, 0) for span in spans]) for kind in _KINDS]
    return bars(f"Messages by {'day' if by_day else 'hour'} (UTC)", names, series)


def _scores(counts: Sequence[int]) -> Markup:
    edges = (0.0, *EDGES, 1.0)
    names = [f"{low:g}" for low in edges[:-1]]
    return bars("Messages by probability of spam", names, [Series("messages", "accent", counts)])
