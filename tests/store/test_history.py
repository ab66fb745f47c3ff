"""Reading the log: filters, pages, prefixes, and clear words when there is nothing to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.engine import URL

from spamfilter.store import history as reading
from spamfilter.store.database import SQLITE_NAME, StoreError, open_database, store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.history import Count, Filter, History
from spamfilter.store.schema import decisions
from spamfilter.store.tallies import UNSCANNED
from spamfilter.verdict import Disposition, Failure, FailureKind, Label
from tests.bench.history import plans
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
        (Filter(sender="<>"), "b"),
        (Filter(sender="example.net"), "fe"),
        (Filter(sender="BOB@EXAMPLE"), "fe"),
        (Filter(recipient="bob@example.net"), "fedcba"),
        (Filter(recipient="shop.example"), ""),
        (Filter(text="mail.example.org"), "fedcba"),
        (Filter(text="shop.example", label="spam"), "d"),
        (Filter(text="1C"), "c"),
        (Filter(least=0.6, most=0.99), "dcb"),
        (Filter(most=0.01), "a"),
        (Filter(action="tag", disposition="rejected"), "d"),
        (Filter(action="tempfail"), "e"),
        (Filter(model_id="fake-1", label="ham"), "fa"),
        (Filter(model_id="fake-2"), ""),
        (Filter(content="0" * 64), ""),
    ],
)
def test_filters(history: History, where: Filter, letters: str) -> None:
    assert _letters(history, where) == letters
    assert history.count(where) == len(letters)


def test_a_look_ends_where_it_was_told_to_and_goes_on_from_there(history: History) -> None:
    first = history.look(Filter(label="spam"), limit=5, rows=3)
    assert [one.id[-1] for one in first.decisions] == ["d"]
    assert first.back_to == NOON - timedelta(hours=2)
    second = history.look(Filter(label="spam"), limit=5, rows=3, before=first.older)
    assert [one.id[-1] for one in second.decisions] == ["c"]
    third = history.look(Filter(label="spam"), limit=5, rows=3, before=second.older)
    assert (third.decisions, third.older, third.back_to) == ([], None, None)


def test_a_look_ends_as_soon_where_a_beginning_is_asked_for(history: History) -> None:
    long_ago = Filter(label="spam", since=NOON - timedelta(days=30))
    with plans() as found:
        look = history.look(long_ago, limit=5, rows=3)
    assert look == history.look(Filter(label="spam"), limit=5, rows=3)
    assert "(time,id)>(?,?)" in found[-1], "SQLite would read all decisions since then"
    assert history.count_some(long_ago, rows=3) == Count(1, False)


def test_a_look_that_finds_enough_says_where_the_next_one_begins(history: History) -> None:
    first = history.look(limit=4)
    assert [one.id[-1] for one in first.decisions] == list("fedc")
    assert first.back_to is None
    second = history.look(limit=4, before=first.older)
    assert ([one.id[-1] for one in second.decisions], second.older) == (["b", "a"], None)


def test_a_look_goes_on_when_its_last_decision_is_forgotten(history: History, url: URL) -> None:
    older = history.look(limit=2).older
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        connection.execute(delete(decisions).where(decisions.c.id == "1e"))
    engine.dispose()
    assert [one.id for one in history.look(limit=1, before=older).decisions] == ["1d"]


@pytest.mark.parametrize("before", ["x.1f", ".1f", "9" * 18 + ".1f", "²³.1f"])
def test_where_to_go_on_is_not_believed_blindly(history: History, before: str) -> None:
    with pytest.raises(StoreError, match="no decision"):
        history.look(before=before)


@pytest.mark.parametrize(
    ("options", "count"),
    [({}, (6, True)), ({"most": 6}, (6, False)), ({"most": 4}, (4, False)), ({"rows": 3}, (3, False))],
)
def test_counting_ends_early(history: History, options: dict[str, int], count: tuple[int, bool]) -> None:
    counted = history.count_some(**options)
    assert (counted.number, counted.whole) == count


def test_each_goes_through_all_pages(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "EACH_ROWS", 2)
    assert "".join(one.id[-1] for one in history.each()) == "fedcba"
    assert "".join(one.id[-1] for one in history.each(Filter(label="ham"))) == "fa"


def test_every_filter_is_answered_in_an_index(history: History, url: URL) -> None:
    """Reading the rows of a million decisions takes seconds, reading an index does not."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    engine = open_database(url, writer=False)
    for where in (
        Filter(label="spam"),
        Filter(sender="x", recipient="y", text="z", least=0.1, most=0.9),
        Filter(since=since, channel="smtp", action="tag", disposition="pending", model_id="m"),
        Filter(sha256="0" * 64),
        Filter(content="0" * 64),
    ):
        statement = select(decisions.c.id).where(*where.clauses()).order_by(decisions.c.time.desc()).limit(50)
        compiled = statement.compile(engine, compile_kwargs={"literal_binds": True})
        with engine.connect() as connection:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + str(compiled).replace("%%", "%")).all()
        assert "USING" in plan[0][-1], where
        assert "INDEX decisions_by_" in plan[0][-1], where
    engine.dispose()


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
