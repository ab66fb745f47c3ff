"""A disposition noted by hand, beside the daemon that holds the log open."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import URL

from spamfilter.store.database import StoreError, migrate, open_database
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.dispositions import note_disposition
from spamfilter.store.history import Filter, History
from spamfilter.verdict import Disposition
from tests.store.conftest import Make


def test_it_stands_in_the_log_at_once(store: DecisionStore, url: URL, make: Make) -> None:
    store.record(*make(id="aa1"))
    store.flush()
    assert note_disposition(url, "aa1", Disposition.RELEASED, "250 ok") is True
    with History(url) as history:
        [found] = history.page(Filter(disposition=Disposition.RELEASED))
    assert (found.id, found.disposition_detail) == ("aa1", "250 ok")
    assert found.settled is not None


def test_a_decision_that_was_forgotten_is_no_error(store: DecisionStore, url: URL) -> None:
    assert note_disposition(url, "aa9", Disposition.DELETED) is False


def test_a_log_that_cannot_be_written_is_one(url: URL) -> None:
    engine = open_database(url, writer=True)
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE decisions")
    engine.dispose()
    with pytest.raises(StoreError, match="the decision log cannot be written: no such table"):
        note_disposition(url, "aa1", Disposition.DELETED)
