"""The log's writer: what it keeps, what it does when the disk does not want, and what is left after kill -9."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from sqlalchemy.engine import URL
from structlog.testing import capture_logs

from spamfilter.message import Message
from spamfilter.scanner import DecisionLog
from spamfilter.store import decisions as writer
from spamfilter.store.database import SQLITE_NAME, StoreError, open_database, store_url
from spamfilter.store.decision_rows import decision_row
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.history import Filter, History
from spamfilter.store.schema import decisions
from spamfilter.verdict import Disposition, Failure, FailureKind
from tests.store.conftest import Make


def _events(logs: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [entry for entry in logs if entry["event"] == name]


def test_it_is_what_the_scanner_asks_for(store: DecisionStore) -> None:
    log: DecisionLog = store
    assert log is store


def test_a_decision_is_kept_with_all_that_is_known(store: DecisionStore, url: URL, make: Make) -> None:
    before = datetime.now(UTC)
    message, decision = make(0.97, raw=b"Subject: secret\n\nbody", rcpt_tos=("bob@example.net", "eve@example.net"))
    store.record(message, decision)
    store.settle(decision, Disposition.DELIVERED, "250 2.0.0 Ok: queued as 4F1")
    assert store.flush()
    with History(url) as history:
        kept = history.get(message.id)
    assert (kept.id, kept.channel, kept.mail_from) == (message.id, "smtp", "alice@example.org")
    assert kept.rcpt_tos == ["bob@example.net", "eve@example.net"]
    assert kept.peer == "mail.example.org[192.0.2.1]"
    assert (kept.sha256, kept.size) == (hashlib.sha256(message.raw).hexdigest(), len(message.raw))
    assert (kept.label, kept.probability, kept.stages) == ("spam", 0.97, {"ngram": 0.97, "gpt": 0.97})
    assert (kept.unsure_at, kept.spam_at, kept.model_id) == (0.5, 0.9, "fake-1")
    assert (kept.action, kept.failure, kept.timings) == ("tag", None, {"total": 1.0})
    assert (kept.disposition, kept.disposition_detail) == ("delivered", "250 2.0.0 Ok: queued as 4F1")
    assert kept.settled is not None
    assert before <= kept.time <= kept.settled <= datetime.now(UTC)


def test_a_failure_is_kept_without_a_label(store: DecisionStore, url: URL, make: Make) -> None:
    message, decision = make(Failure(FailureKind.TIMEOUT, "no answer within 30 s"))
    store.record(message, decision)
    store.flush()
    with History(url) as history:
        kept = history.get(message.id)
    assert (kept.label, kept.probability, kept.model_id) == (None, None, None)
    assert (kept.failure, kept.failure_detail) == ("timeout", "no answer within 30 s")
    assert (kept.disposition, kept.settled) == ("pending", None)


def test_a_settlement_may_come_in_a_later_transaction(store: DecisionStore, url: URL, make: Make) -> None:
    message, decision = make()
    store.record(message, decision)
    assert store.flush()
    store.settle(decision, Disposition.REFUSED, "550 no such user")
    assert store.flush()
    with History(url) as history:
        assert history.get(message.id).disposition == "refused by next hop"


def test_rows_gather_for_a_moment_and_go_in_together(
    store: DecisionStore, url: URL, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    apply = store._apply

    def counted(rows: list[dict[str, object]], settlements: dict[str, dict[str, object]]) -> None:
        apply(rows, settlements)
        commits.append(len(rows) + len(settlements))

    monkeypatch.setattr(store, "_apply", counted)
    monkeypatch.setattr(writer, "GATHER_S", 0.5)
    for _ in range(20):
        message, decision = make()
        store.record(message, decision)
        store.settle(decision, Disposition.DELIVERED, "250 Ok")
    deadline = time.monotonic() + 10
    while not commits and time.monotonic() < deadline:
        time.sleep(0.01)
    assert commits == [20]  # nobody flushed, and a settlement is no write of its own
    with History(url) as history:
        assert history.count(Filter(disposition=Disposition.DELIVERED)) == 20


def test_a_flush_does_not_wait_for_others(store: DecisionStore, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GATHER_S", 60.0)
    store.record(*make())
    assert store.flush(5.0)
    store.record(*make())  # and close, in the fixture, does not either


def test_neither_subject_nor_body_reach_the_disk(store: DecisionStore, tmp_path: Path, make: Make) -> None:
    store.record(*make(raw=b"Subject: tell-tale-subject\n\ntell-tale-body"))
    store.flush()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"alice@example.org" in written
    assert b"tell-tale" not in written


def test_a_message_scanned_twice_keeps_its_last_decision(store: DecisionStore, url: URL, make: Make) -> None:
    first, decision = make(0.01, id="same")
    store.record(first, decision)
    store.settle(decision, Disposition.TEMPFAILED)
    store.flush()
    store.record(*make(0.99, id="same"))
    store.record(*make(0.5, id="other"))
    assert store.flush()
    with History(url) as history:
        assert history.count() == 2
        assert (history.get("same").label, history.get("same").disposition) == ("spam", "pending")
        assert history.get("other").label == "unsure"


def test_a_settlement_of_an_earlier_scan_leaves_the_new_one_pending(store: DecisionStore, url: URL, make: Make) -> None:
    first, decision = make(0.01, id="same")
    store.record(first, decision)
    store.flush()
    with store._changed:  # so that both lie in one batch
        store.settle(decision, Disposition.TEMPFAILED)
        store.record(*make(0.99, id="same"))
    store.flush()
    with History(url) as history:
        assert (history.get("same").label, history.get("same").disposition) == ("spam", "pending")


@pytest.mark.parametrize(
    "sender", ["\udcff\udcfe@example.org", "nul\0@example.org", "x" * 100_000, "\U0001f600@例え.jp"], ids=repr
)
def test_odd_senders_cost_no_row(store: DecisionStore, url: URL, make: Make, sender: str) -> None:
    message, decision = make(mail_from=sender[:100_000], rcpt_tos=(sender,) * 500)
    store.record(message, decision)
    store.settle(decision, Disposition.FAILED, sender)
    assert store.flush()
    with History(url) as history:
        kept = history.get(message.id)
    assert kept.disposition == "failed"
    assert len(kept.rcpt_tos) == 100
    assert len(kept.mail_from or "") <= 4000


def test_close_writes_what_waits(url: URL, make: Make) -> None:
    store = DecisionStore(url)
    store.open()
    for _ in range(3000):
        store.record(*make())
    store.close()
    with History(url) as history:
        assert history.count() == 3000


def test_a_closed_store_takes_nothing_and_raises_nothing(url: URL, make: Make) -> None:
    store = DecisionStore(url)
    store.open()
    store.close()
    store.record(*make())
    assert store.dropped == 1
    store.close()


def test_fifty_thousand_decisions_from_several_threads(url: URL, make: Make) -> None:
    store = DecisionStore(url, capacity=200_000)
    store.open()
    rows = [make() for _ in range(50_000)]

    def put(part: list[tuple[Message, object]]) -> None:
        for message, decision in part:
            store.record(message, decision)  # type: ignore[arg-type]

    threads = [threading.Thread(target=put, args=(rows[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close(60)
    assert store.dropped == 0
    with History(url) as history:
        assert history.count() == 50_000


def test_readers_see_whole_commits_while_it_writes(store: DecisionStore, url: URL, make: Make) -> None:
    seen: list[int] = []
    with History(url) as history:
        for _ in range(20):
            for _ in range(50):
                store.record(*make())
            seen.append(history.count())
            assert len(history.page(limit=5)) <= 5
        store.flush()
        assert seen == sorted(seen)
        assert history.count() == 1000


def _hold_the_write_lock(path: Path) -> sqlite3.Connection:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder


def test_a_locked_database_delays_nothing_and_loses_nothing(
    url: URL, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spamfilter.store.database.BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr(writer, "RETRY_S", (0.01, 0.02))
    store = DecisionStore(url)
    store.open()
    with capture_logs() as logs:
        with closing(_hold_the_write_lock(tmp_path / SQLITE_NAME)):
            for _ in range(100):
                message, decision = make()
                store.record(message, decision)
                store.settle(decision, Disposition.DELIVERED)
            assert not store.flush(0.5)
        assert store.flush()
        store.close()
    assert len(_events(logs, "decision_log_cannot_be_written")) == 1  # said once, not at every try
    assert len(_events(logs, "decision_log_is_written_again")) == 1
    with History(url) as history:
        assert history.count(Filter(disposition="delivered")) == 100


def test_what_could_not_be_committed_keeps_its_place_in_the_queue(url: URL, make: Make) -> None:
    store = DecisionStore(url)  # not opened: nobody else takes from the queue
    first, second, third = (make() for _ in range(3))
    store.record(*first)
    store.record(*second)
    taken = store._take()
    store.record(*third)
    assert taken is not None
    store._put_back(taken)
    assert [row["id"] for row in store._take() or []] == [first[0].id, second[0].id, third[0].id]


def test_a_stalled_database_costs_the_oldest_rows_and_says_how_many(
    url: URL, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spamfilter.store.database.BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr(writer, "RETRY_S", (0.01, 0.02))
    store = DecisionStore(url, capacity=50)
    store.open()
    rows = [make() for _ in range(200)]
    with capture_logs() as logs:
        with closing(_hold_the_write_lock(tmp_path / SQLITE_NAME)):
            for row in rows:
                store.record(*row)
        assert store.flush()
        store.close()
    assert store.dropped >= 100
    assert _events(logs, "decision_log_rows_dropped")[0]["so_far"] == 1
    with History(url) as history:
        kept = {decision.id for decision in history.page(limit=1000)}
    assert len(kept) == 200 - store.dropped
    assert {message.id for message, _ in rows[-50:]} <= kept


def test_a_full_disk_is_said_once_and_survived(url: URL, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_S", (0.01, 0.02))
    store = DecisionStore(url, capacity=5000)
    store.open()
    full, connect = threading.Event(), store._engine
    assert connect is not None
    full.set()

    from sqlalchemy import event

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 1 if full.is_set() else 1_000_000}")

    event.listen(connect, "connect", limit)
    connect.dispose()  # the next connection has the limit
    with capture_logs() as logs:
        for _ in range(2000):
            store.record(*make())
        assert not store.flush(0.3)
        full.clear()
        assert store.flush()
        store.close()
    assert [entry["error"] for entry in _events(logs, "decision_log_cannot_be_written")] == ["database or disk is full"]
    with History(url) as history:
        assert history.count() == 2000


def test_closing_over_a_dead_database_ends_and_counts_the_loss(
    url: URL, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spamfilter.store.database.BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr(writer, "RETRY_S", (0.01, 0.02))
    store = DecisionStore(url)
    store.open()
    with capture_logs() as logs, closing(_hold_the_write_lock(tmp_path / SQLITE_NAME)):
        for _ in range(7):
            store.record(*make())
        store.close(0.2)
    assert _events(logs, "decision_log_incomplete")[0]["lost"] == 7


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(url: URL, tmp_path: Path, make: Make) -> None:
    (tmp_path / SQLITE_NAME).write_bytes(b"no database at all" * 1000)
    store = DecisionStore(url)
    with capture_logs() as logs:
        store.open()
    store.record(*make())
    store.close()
    (event,) = _events(logs, "decision_log_damaged")
    assert Path(str(event["kept_as"])).read_bytes().startswith(b"no database")
    with History(url) as history:
        assert history.count() == 1


def test_a_place_that_cannot_hold_it_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = DecisionStore(store_url("", tmp_path / "file"))
    with pytest.raises(StoreError, match="decision log cannot be opened: unable to open database file"):
        store.open()


def test_a_bad_row_costs_only_itself(store: DecisionStore, url: URL, make: Make) -> None:
    bad, decision = make()
    good, good_decision = make()
    row = decision_row(bad, decision)
    row["channel"] = None  # NOT NULL: an IntegrityError, for the batch and for the row alone
    with capture_logs() as logs:
        store._put(row)
        store.record(good, good_decision)
        assert store.flush()
    with History(url) as history:
        assert [kept.id for kept in history.page()] == [good.id]
    assert [entry["id"] for entry in _events(logs, "decision_not_logged")] == [bad.id]


def test_old_decisions_are_forgotten_in_chunks(url: URL, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETENTION_ROWS", 10)
    store = DecisionStore(url)
    store.open()
    rows = [make() for _ in range(40)]
    for row in rows:
        store.record(*row)
    store.close()
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        old = [message.id for message, _ in rows[:35]]
        week_ago = datetime.now(UTC) - timedelta(days=8)
        connection.execute(update(decisions).where(decisions.c.id.in_(old)).values(time=week_ago))
    engine.dispose()

    keeper = DecisionStore(url, retention_days=7)
    with monkeypatch.context() as patch:
        forgotten = threading.Event()
        forget = keeper._forget

        def watched() -> None:
            forget()
            if keeper._retention_due:
                forgotten.set()

        patch.setattr(keeper, "_forget", watched)
        keeper.open()
        assert forgotten.wait(10)
        keeper.close()
    with History(url) as history:
        assert [kept.id for kept in history.page()] == [message.id for message, _ in reversed(rows[35:])]


def test_without_retention_nothing_is_forgotten(url: URL, make: Make) -> None:
    store = DecisionStore(url)
    store.open()
    store.record(*make())
    store.close()
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        connection.execute(update(decisions).values(time=datetime(2001, 1, 1, tzinfo=UTC)))
    engine.dispose()
    store = DecisionStore(url, retention_days=0)
    store.open()
    store.record(*make())
    store.close()
    with History(url) as history:
        assert history.count() == 2
        assert history.count(Filter(until=datetime(2002, 1, 1, tzinfo=UTC))) == 1


_WRITER = """
import itertools, sys
from pathlib import Path
from spamfilter.message import Message
from spamfilter.policy import Policy, decide
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from tests.fakes import THRESHOLDS, score

store = DecisionStore(store_url("", Path(sys.argv[1])))
store.open()
for number in itertools.count():
    message = Message(b"x", "smtp", id=f"{number:016x}")
    store.record(message, decide(message.id, score(0.5), Policy(THRESHOLDS)))
    if number % 50 == 49:
        store.flush()
        print(number + 1, flush=True)
"""


def test_what_was_flushed_survives_kill_9(tmp_path: Path, url: URL) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        flushed = 0
        for line in process.stdout:
            flushed = int(line)
            if flushed >= 500:
                os.kill(process.pid, signal.SIGKILL)
                break
        rest = process.stdout.read().split()
        flushed = int(rest[-1]) if rest else flushed
    store = DecisionStore(url)
    store.open()  # recovers the journal, as a restarted daemon does
    store.close()
    with History(url) as history:
        assert history.count() >= flushed
        assert history.get(f"{flushed - 1:016x}").label == "unsure"
    with closing(sqlite3.connect(tmp_path / SQLITE_NAME)) as check:
        assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_file_is_in_wal_mode(store: DecisionStore, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / SQLITE_NAME)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_rows_can_be_written_by_plain_inserts_of_the_schema(store: DecisionStore, url: URL, make: Make) -> None:
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        connection.execute(insert(decisions), [decision_row(*make(id="plain"))])
    engine.dispose()
    with History(url) as history:
        assert history.get("plain").channel == "smtp"
