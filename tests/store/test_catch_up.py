"""A log of an older version: nothing of it is lost, counted twice, or in the way of new mail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.engine import URL

from spamfilter.store import catch_up
from spamfilter.store.catch_up import CatchUp
from spamfilter.store.database import migrate, open_database
from spamfilter.store.decision_rows import decision_row
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.history import Filter, History
from spamfilter.store.schema import decisions
from spamfilter.store.statistics import Statistics
from tests.store.conftest import Make

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = 25


@pytest.fixture
def engine(url: URL) -> Iterator[Engine]:
    """An open database with the tables of the version before."""
    engine = open_database(url, writer=True)
    config = Config()
    config.set_main_option("script_location", "spamfilter.store:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    yield engine
    engine.dispose()


@pytest.fixture
def old(engine: Engine, make: Make) -> Engine:
    """With decisions in it, all of one instant but for the last."""
    with engine.begin() as connection:
        for number in range(OLD):
            row = decision_row(*make(0.99 if number % 2 else 0.01, mail_from=f"old{number}@example.org"))
            del row["parties"]
            row["time"] = NOON + timedelta(hours=number == OLD - 1)
            connection.execute(insert(decisions), row)
    return engine


def test_old_rows_become_searchable_and_counted_once(old: Engine, url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "ROWS", 10)
    migrate(old)
    for _ in range(2):  # a daemon that is started twice
        catching = CatchUp()
        while not catching.done:
            catching.step(old)
    with History(url) as history, Statistics(url) as statistics:
        assert [one.mail_from for one in history.page(Filter(sender="old24@"))] == ["old24@example.org"]
        assert history.count(Filter(recipient="bob@")) == OLD
        total = statistics.total(NOON)
        assert (total.count, total.labels) == (OLD, {"ham": 13, "spam": 12})
        assert statistics.probabilities(NOON).count == OLD


def test_a_step_that_breaks_is_as_if_it_had_not_been(old: Engine, url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(old)
    catching = CatchUp()
    with monkeypatch.context() as patch:
        patch.setattr(catch_up, "parties_of", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            catching.step(old)
    with Statistics(url) as statistics:
        assert statistics.total(NOON).count == 0
        catching.step(old)
        assert statistics.total(NOON).count == OLD


def test_the_logs_thread_does_it_beside_new_mail(old: Engine, url: URL, make: Make, tmp_path: Path) -> None:
    store = DecisionStore(url)
    store.open()
    message, decision = make(0.6, id="fresh")
    store.record(message, decision)
    assert store.flush()
    until = time.monotonic() + 20
    waiting = select(decisions.c.id).where(decisions.c.parties.is_(None)).limit(1)
    while time.monotonic() < until:
        with old.connect() as connection:
            if connection.execute(waiting).first() is None:
                break
        time.sleep(0.02)
    store.close()
    with Statistics(url) as statistics:
        assert statistics.total(NOON).count == OLD + 1
    with old.connect() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
