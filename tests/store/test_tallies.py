"""The counts beside the decisions: bins with true edges, and sums that never differ from the rows."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL

from spamfilter.store import tallies
from spamfilter.store.database import open_database
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.history import History
from spamfilter.store.schema import hourly, spreads
from spamfilter.store.tallies import (
    DURATION_BINS,
    PROBABILITY,
    PROBABILITY_BINS,
    day_of,
    duration_bin,
    duration_in,
    probability_bin,
    probability_from,
)
from spamfilter.verdict import Failure, FailureKind
from tests.store.conftest import Make


@pytest.mark.parametrize("probability", [0.0, 1e-300, 1e-6, 0.001, 0.25, 0.5, 0.9, 0.999, 1 - 1e-6, 1 - 1e-16, 1.0])
def test_a_probability_lies_within_its_bin(probability: float) -> None:
    number = probability_bin(probability)
    assert probability_from(number) <= probability <= probability_from(number + 1)


def test_the_bins_of_probabilities_cover_everything_and_rise() -> None:
    edges = [probability_from(number) for number in range(PROBABILITY_BINS + 1)]
    assert (edges[0], edges[-1]) == (0.0, 1.0)
    assert all(low < high for low, high in itertools.pairwise(edges))
    assert [probability_bin((low + high) / 2) for low, high in itertools.pairwise(edges)] == list(
        range(PROBABILITY_BINS)
    )


@pytest.mark.parametrize("milliseconds", [0.011, 0.5, 1.0, 7.3, 999.0, 29_000.0])
def test_a_duration_is_told_to_six_parts_in_a_hundred(milliseconds: float) -> None:
    assert duration_in(duration_bin(milliseconds)) == pytest.approx(milliseconds, rel=0.06)


@pytest.mark.parametrize(
    ("milliseconds", "number"), [(-1.0, 0), (0.0, 0), (float("nan"), 0), (1e12, DURATION_BINS - 1)]
)
def test_impossible_durations_have_a_place(milliseconds: float, number: int) -> None:
    assert duration_bin(milliseconds) == number


Count = Callable[[], tuple[Counter[object], Counter[object]]]


@pytest.fixture
def counted(url: URL) -> Count:
    """What the tables hold: by (label, action, failure, asked, recalled), and the bins of probabilities."""

    def counts() -> tuple[Counter[object], Counter[object]]:
        engine = open_database(url, writer=False)
        kinds: Counter[object] = Counter()
        bins: Counter[object] = Counter()
        with engine.connect() as connection:
            for row in connection.execute(select(hourly)):
                kinds[(row.label, row.action, row.failure, row.asked, row.recalled)] += row._mapping["count"]
            for row in connection.execute(select(spreads).where(spreads.c.series == PROBABILITY)):
                bins[row.bin] += row._mapping["count"]
        engine.dispose()
        return +kinds, +bins

    return counts


def test_each_commit_adds_to_the_counts(store: DecisionStore, counted: Count, make: Make) -> None:
    for outcome in (0.01, 0.99, 0.99, Failure(FailureKind.TIMEOUT)):
        store.record(*make(outcome))
        assert store.flush()
    kinds, bins = counted()
    assert kinds == {
        ("ham", "tag", "", True, False): 1,
        ("spam", "tag", "", True, False): 2,
        ("unscanned", "accept", "timeout", False, False): 1,
    }
    assert bins == {probability_bin(0.01): 1, probability_bin(0.99): 2}


def test_a_message_scanned_twice_counts_once(store: DecisionStore, counted: Count, make: Make, url: URL) -> None:
    store.record(*make(0.01, id="twice"))
    assert store.flush()
    store.record(*make(0.99, id="twice"))
    store.record(*make(0.01, id="beside"))
    assert store.flush()
    kinds, bins = counted()
    with History(url) as history:
        assert Counter(one.label for one in history.page()) == {"spam": 1, "ham": 1}
    assert Counter({label: count for (label, *_), count in kinds.items()}) == {"spam": 1, "ham": 1}
    assert bins == {probability_bin(0.99): 1, probability_bin(0.01): 1}


def test_a_day_is_of_utc() -> None:
    east = datetime.fromisoformat("2026-03-01T08:30:00+09:00")
    assert day_of(east) == datetime(2026, 2, 28, tzinfo=UTC)


@pytest.mark.parametrize("table", [hourly, spreads])
def test_postgresql_takes_the_same_sums(table: Table) -> None:
    compiled = str(tallies._adding(table, "postgresql").compile(dialect=postgresql.dialect()))
    assert "ON CONFLICT" in compiled
    assert f"DO UPDATE SET count = ({table.name}.count + excluded.count)" in compiled
