"""Reading the log: filters, pages, prefixes, and clear words when there is nothing to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.engine import URL

from spamfilter.store.database import SQLITE_NAME, StoreError, open_database, store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.history import UNSCANNED, Filter, History
from spamfilter.store.schema import decisions
from spamfilter.verdict import Disposition, Failure, FailureKind, Label
from tests.store.conftest import Make

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def history(url: URL, make: Make) -> Iterator[History]:
    """Six decisions, an hour apart, the last at noon; ids end in a to f."""
    store = DecisionStore(url)
    store.open()
    plan = [
        ("a", 0.01, "smtp", "alice@example.org", Disposition.DELIVERED),
        ("b", 0.60, "smtp", "", Disposition.DELIVERED),
        ("c", 0.99, "folder", None, Disposition.DELIVERED),
        ("d", 0.99, "smtp", "100%_off@shop.example", Disposition.REJECTED),
        ("e", Failure(FailureKind.OVERLOAD), "smtp", "Bob@Example.NET", Disposition.TEMPFAILED),
        ("f", 0.02, "smtp", "bob@example.net", Disposition.PENDING),
    ]
    for letter, outcome, channel, sender, disposition in plan:
        message, decision = make(outcome, id=f"1{letter}", channel=channel, mail_from=sender, raw=letter.encode())
        store.record(message, decision)
        if disposition is not Disposition.PENDING:
            store.settle(decision, disposition)
    store.close()
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        for hours, (letter, *_) in enumerate(reversed(plan)):
            moment = NOON - timedelta(hours=hours)
            connection.execute(update(decisions).where(decisions.c.id == f"1{letter}").values(time=moment))
    engine.dispose()
    with History(url) as opened:
        yield opened


def _letters(history: History, where: Filter | None = None) -> str:
    return "".join(decision.id[-1] for decision in history.page(where))


@pytest.mark.parametrize(
    ("where", "letters"),
    [
        (Filter(), "fedcba"),
        (Filter(label=Label.SPAM), "dc"),
        (Filter(label="ham"), "fa"),
        (Filter(label=UNSCANNED), "e"),
        (Filter(channel="folder"), "c"),
        (Filter(sender="bob@"), "fe"),
        (Filter(sender="%_"), "d"),
        (Filter(sender="_"), "d"),
        (Filter(disposition=Disposition.PENDING), "f"),
        (Filter(disposition="rejected"), "d"),
        (Filter(since=NOON - timedelta(hours=2)), "fed"),
        (Filter(until=NOON - timedelta(hours=2)), "cba"),
        (Filter(since=NOON - timedelta(hours=4), until=NOON, label="spam"), "dc"),
        (Filter(since=NOON.astimezone(datetime.strptime("+0900", "%z").tzinfo)), "f"),
        (Filter(sha256="3E23E8160039594A33894F6564E1B1348BBD7A0088D42C4ACB73EEAED59C009D"), "b"),
        (Filter(label="spam", channel="imap"), ""),
    ],
)
def test_filters(history: History, where: Filter, letters: str) -> None:
    assert _letters(history, where) == letters
    assert history.count(where) == len(letters)


def test_pages_follow_each_other_without_gap_or_repeat(history: History) -> None:
    seen, last = "", None
    while page := history.page(limit=4, before=last):
        seen += "".join(decision.id[-1] for decision in page)
        last = page[-1].id
    assert seen == "fedcba"


def test_pages_hold_where_many_share_one_instant(url: URL, make: Make) -> None:
    store = DecisionStore(url)
    store.open()
    for _ in range(10):
        store.record(*make())
    store.close()
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        connection.execute(update(decisions).values(time=NOON))
    engine.dispose()
    with History(url) as history:
        first = history.page(limit=6)
        second = history.page(limit=6, before=first[-1].id)
    assert len({decision.id for decision in first + second}) == 10


def test_a_unique_beginning_of_the_id_is_enough(history: History) -> None:
    assert history.get("1c").sha256 == history.get("1c").sha256
    with pytest.raises(StoreError, match="several decisions start with '1'"):
        history.get("1")
    with pytest.raises(StoreError, match="no decision '2'"):
        history.get("2")
    with pytest.raises(StoreError, match="no decision '%'"):
        history.get("%")
    with pytest.raises(StoreError, match="an id is needed"):
        history.get("")


def test_times_come_back_aware_and_in_utc(history: History) -> None:
    assert history.get("1f").time == NOON
    assert history.get("1f").time.tzinfo is UTC


def test_a_row_becomes_json(history: History) -> None:
    row = json.loads(json.dumps(history.get("1d").as_json()))
    assert (row["time"], row["mail_from"]) == ("2026-03-01T10:00:00+00:00", "100%_off@shop.example")


def test_no_log_yet_is_said_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no decision log yet; `spamfilter serve` writes one"):
        History(store_url("", tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(history: History, url: URL) -> None:
    engine = open_database(url, writer=False)
    with pytest.raises(Exception, match="readonly"), engine.begin() as connection:
        connection.execute(update(decisions).values(channel="x"))
    engine.dispose()


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / SQLITE_NAME).write_bytes(b"junk" * 1000)
    with pytest.raises(StoreError, match="cannot be read: file is not a database"):
        History(store_url("", tmp_path))
