"""Counts of decisions that are kept beside them, so that a month's statistics are read without a month's rows.

Written by the decision log in the transaction of the decisions that they count. They hold no addresses, and stay when
retention has taken the decisions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from spamfilter.store.schema import hourly, spreads

UNSCANNED = "unscanned"
"""The label under which decisions without one are counted and listed."""
PROBABILITY = "probability"
"""The series in `spreads` of the probabilities."""
TOOK = "took "
"""What the name of a series of times begins with; the step follows."""

_LOGIT_SPAN = 12.0
_LOGIT_WIDTH = 0.1
PROBABILITY_BINS = round(2 * _LOGIT_SPAN / _LOGIT_WIDTH)
"""Bins of equal width in log-odds, -12 to 12: fine near 0 and near 1, where thresholds stand."""
_FASTEST_MS = 0.01
_BINS_A_DECADE = 20
DURATION_BINS = 8 * _BINS_A_DECADE
"""Bins of milliseconds, each a twentieth of a decade wide, 0.01 ms to 1000 s: a quantile is right to about 6 %."""


def probability_bin(probability: float) -> int:
    """The bin of a probability; 0 and 1 fall into the outermost."""
    if probability <= 0.0:
        return 0
    if probability >= 1.0:
        return PROBABILITY_BINS - 1
    logit = math.log(probability / (1.0 - probability))
    return min(max(math.floor((logit + _LOGIT_SPAN) / _LOGIT_WIDTH), 0), PROBABILITY_BINS - 1)


def probability_from(number: int) -> float:
    """The lowest probability of a bin; of the first 0, and of the one after the last 1."""
    if number <= 0:
        return 0.0
    if number >= PROBABILITY_BINS:
        return 1.0
    return 1.0 / (1.0 + math.exp(_LOGIT_SPAN - number * _LOGIT_WIDTH))


def duration_bin(milliseconds: float) -> int:
    """The bin of a duration."""
    if not milliseconds > _FASTEST_MS:  # also where it is no number
        return 0
    return min(math.floor(math.log10(milliseconds / _FASTEST_MS) * _BINS_A_DECADE), DURATION_BINS - 1)


def duration_in(number: int) -> float:
    """The milliseconds in the middle of a bin."""
    return float(_FASTEST_MS * 10 ** ((number + 0.5) / _BINS_A_DECADE))


class Tallies:
    """What a transaction adds to the counts. `add` rows of `decisions`, then `write`."""

    def __init__(self) -> None:
        self._hourly: Counter[tuple[Any, ...]] = Counter()
        self._spreads: Counter[tuple[Any, ...]] = Counter()

    def add(self, row: Mapping[str, Any], times: int = 1) -> None:
        """Count a row; with -1 take back one that was counted and is replaced."""
        time = row["time"]
        model_id, probability = row["model_id"] or "", row["probability"]
        asked, recalled = "gpt" in row["stages"], "memory" in row["stages"]
        kind = (row["label"] or UNSCANNED, row["action"], row["failure"] or "")
        self._hourly[(hour_of(time), row["channel"], model_id, *kind, asked, recalled)] += times
        day = day_of(time)
        if probability is not None:
            self._spreads[(PROBABILITY, day, model_id, probability_bin(probability))] += times
        for step, milliseconds in row["timings"].items():
            self._spreads[((TOOK + step)[:64], day, model_id, duration_bin(milliseconds))] += times

    def write(self, connection: Connection) -> None:
        """Add to what the tables hold. Raises SQLAlchemyError."""
        _add_to(hourly, self._hourly, connection)
        _add_to(spreads, self._spreads, connection)


def _add_to(table: Table, counts: Counter[tuple[Any, ...]], connection: Connection) -> None:
    if not counts:
        return
    names = [column.name for column in table.columns]
    # in order: two hosts that write to one database take its rows in the same sequence, and never wait in a circle
    rows = [dict(zip(names, (*key, count), strict=True)) for key, count in sorted(counts.items())]
    connection.execute(_adding(table, connection.dialect.name), rows)


@cache
def _adding(table: Table, dialect: str) -> Any:
    """The statement that adds a count to the one that is there."""
    statement: Any = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    summed = {"count": table.c.count + statement.excluded.count}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=summed)


def day_of(moment: datetime) -> datetime:
    """The UTC day's beginning, as `spreads` has it."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def hour_of(moment: datetime) -> datetime:
    """The hour's beginning, as `hourly` has it."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
