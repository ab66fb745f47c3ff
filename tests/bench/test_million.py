"""The log that reading is measured on: as a daemon would have written it, and the same every time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spamfilter.store.database import store_url
from spamfilter.store.history import History
from spamfilter.store.statistics import Statistics
from tests.bench.history import measure, questions
from tests.bench.million import DAYS, fill

ROWS = 600


def test_rows_and_tallies_agree(tmp_path: Path) -> None:
    until = datetime.now(UTC)
    fill(tmp_path, ROWS, until=until)
    with History(store_url("", tmp_path)) as history, Statistics(store_url("", tmp_path)) as statistics:
        rows = list(history.each())
        total = statistics.total(until - timedelta(days=DAYS))
    assert len(rows) == total.count == ROWS
    assert Counter(row.label or "unscanned" for row in rows) == total.labels
    assert sum("gpt" in row.stages for row in rows) == total.asked


def test_it_is_the_same_every_time(tmp_path: Path) -> None:
    until = datetime(2026, 3, 1, tzinfo=UTC)
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fill(tmp_path / name, 50, until=until)
        with History(store_url("", tmp_path / name)) as history:
            found.append(list(history.each()))
    assert found[0] == found[1]


def test_every_question_is_answered_and_explained(tmp_path: Path) -> None:
    fill(tmp_path, ROWS)
    url = store_url("", tmp_path)
    with History(url) as history, Statistics(url) as statistics:
        asked = questions(history, statistics)
        found = [measure(name, ask, 1) for name, ask in asked.items()]
    assert all(one["plan"] and 0 < one["median_ms"] <= one["max_ms"] for one in found)
