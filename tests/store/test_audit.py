"""Who did what: added to, read, and never changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from spamfilter.store.audit import Audit
from spamfilter.store.database import StoreError, migrate, open_database, store_url
from spamfilter.store.decisions import DecisionStore


@pytest.fixture
def audit(url: URL) -> Iterator[Audit]:
    engine = open_database(url, writer=True)
    migrate(engine)
    engine.dispose()
    with Audit(url) as opened:
        yield opened


def test_rows_come_back_newest_first_page_by_page(audit: Audit) -> None:
    for number in range(5):
        audit.note("alice", "operator", "release", f"id{number}", "250 ok", "192.0.2.1")
    first = audit.page(limit=3)
    second = audit.page(limit=3, before=first[-1].number)
    assert [deed.subject for deed in [*first, *second]] == ["id4", "id3", "id2", "id1", "id0"]
    assert (first[0].who, first[0].role, first[0].detail, first[0].address) == (
        "alice", "operator", "250 ok", "192.0.2.1"
    )  # fmt: skip
    assert first[0].time.tzinfo is not None
    assert json.loads(json.dumps(first[0].as_json()))["time"] == first[0].time.isoformat()


@pytest.mark.parametrize(
    ("chosen", "subjects"),
    [({"who": "bob"}, ["y"]), ({"action": "mark"}, ["y", "x"]), ({"subject": "z"}, ["z"]), ({"who": "eve"}, [])],
)
def test_chosen_rows(audit: Audit, chosen: dict[str, str], subjects: list[str]) -> None:
    for who, action, subject in (("alice", "mark", "x"), ("bob", "mark", "y"), ("alice", "delete", "z")):
        audit.note(who, "operator", action, subject)
    assert [deed.subject for deed in audit.page(**chosen)] == subjects  # type: ignore[arg-type]


def test_hostile_words_are_kept_within_bounds(audit: Audit) -> None:
    audit.note("a\0\udcff" * 1000, "r" * 99, "a" * 999, "s" * 9999)
    [deed] = audit.page()
    assert len(deed.role) == 16
    assert len(deed.action) == 64
    assert "\0" not in deed.who
    assert len(deed.subject) == 1000


def test_what_cannot_be_noted_is_said(audit: Audit, url: URL) -> None:
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE audit")
    engine.dispose()
    with pytest.raises(StoreError, match="the audit cannot be written: no such table"):
        audit.note("alice", "admin", "x", "y")
    with pytest.raises(StoreError, match="the audit's rows cannot be read"):
        audit.page()


def test_it_may_be_made_before_the_tables_are(tmp_path: Path) -> None:
    url = store_url("", tmp_path)
    audit = Audit(url)
    with pytest.raises(StoreError):
        audit.note("ann", "admin", "model.activate", "m1", None, "192.0.2.1")
    store = DecisionStore(url, retention_days=0)
    store.open()
    audit.note("ann", "admin", "model.activate", "m1", None, "192.0.2.1")
    audit.close()
    audit.note("bob", "viewer", "sign-in", "bob", "link", None)
    audit.close()
    with Audit(url) as again:
        assert [(deed.who, deed.action, deed.address) for deed in again.page()] == [
            ("bob", "sign-in", None),
            ("ann", "model.activate", "192.0.2.1"),
        ]
    store.close()
