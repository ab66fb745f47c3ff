"""The decision log's writer: takes decisions from the mail's road at once, and commits them beside it, in groups.

Mail never waits for the log. `record` and `settle` put a row into a bounded queue; one thread lets rows gather for a
moment and commits what waits there in one transaction, tallies and all. When the database cannot take rows (disk full,
locked, damaged) the thread says so once, keeps trying, and the queue drops its oldest rows with a counted warning.
Bodies and subjects are not in it; where mail is to be kept, `keeper` keeps it elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy import Engine, bindparam, delete, insert, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from spamfilter.message import Message
from spamfilter.store.catch_up import CatchUp
from spamfilter.store.database import (
    BUSY_TIMEOUT_MS,
    DamagedError,
    is_damage,
    migrate,
    open_database,
    reason,
    set_aside,
    shown,
)
from spamfilter.store.decision_rows import Row, decision_row, settlement
from spamfilter.store.schema import decisions
from spamfilter.store.tallies import Tallies
from spamfilter.verdict import Decision, Disposition

CAPACITY = 20_000
"""Rows that may wait; with some hundred bytes each they are a few tens of megabytes at most."""
COMMIT_ROWS = 1_000
GATHER_S = 0.05
"""How long a row may wait for others, so that a decision and its settlement mostly become one row, and one commit takes
many. A kill -9 costs the log little more than this, and the mail nothing."""
RETENTION_ROWS = 500
RETENTION_EVERY_S = 600.0
RETRY_S = (0.1, 5.0)
"""The first and the longest pause before a failed commit is tried again."""

log = structlog.get_logger(__name__)


class Keeper(Protocol):
    """Keeps the bytes of decided messages for a while. No method raises; `keep` does not block."""

    def open(self) -> None: ...

    def keep(self, message: Message) -> None: ...

    def close(self, timeout_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class _Settlement:
    id: str
    values: Row


class DecisionStore:
    """The log of decisions, as `scanner.DecisionLog` asks for it, over any SQLAlchemy URL.

    `open` migrates the database and starts the thread; `close` flushes and joins it. `record` and `settle` may be
    called from any thread between the two, never block (a 50 MB message takes its sha256: 40 ms) and never raise.
    """

    def __init__(
        self, url: URL, *, retention_days: int = 0, capacity: int = CAPACITY, keeper: Keeper | None = None
    ) -> None:
        self._url = url
        self._keeper = keeper
        self._retention = timedelta(days=retention_days) if retention_days else None
        self._capacity = capacity
        self._waiting: deque[Row | _Settlement] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._hurry = threading.Event()
        self._give_up_at = float("inf")
        self._busy = False
        self._awaited = 0  # by how many callers of `flush`
        self._thread: threading.Thread | None = None
        self._engine: Engine | None = None
        self._troubles: set[str] = set()
        self._retention_due = 0.0
        self._catch_up = CatchUp()
        self.dropped = 0
        """Rows lost because the database did not take them in time."""

    def open(self) -> None:
        """Migrate, and begin to write. A damaged SQLite file is set aside for a new one. Raises StoreError."""
        try:
            self._engine = self._migrated()
        except DamagedError as error:
            try:
                aside = set_aside(self._url)
            except OSError:
                raise error from None
            log.error("decision_log_damaged", error=str(error), kept_as=str(aside), instead="a new log is begun")
            self._engine = self._migrated()
        self._thread = threading.Thread(target=self._write, name="decision-log", daemon=True)
        self._thread.start()
        if self._keeper is not None:
            self._keeper.open()

    def _migrated(self) -> Engine:
        engine = open_database(self._url, writer=True)
        try:
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, for `timeout_s` at most, and stop. What could not be written is counted and said."""
        with self._changed:
            self._closing = True
            self._give_up_at = time.monotonic() + timeout_s
            self._hurry.set()
            self._changed.notify_all()
        if self._keeper is not None:
            self._keeper.close(timeout_s)
        if self._thread is not None:
            self._thread.join(timeout_s + BUSY_TIMEOUT_MS / 1000)
            self._thread = None
        if self._waiting:
            log.error("decision_log_incomplete", lost=len(self._waiting), database=shown(self._url))
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that was recorded so far is committed; False when it took longer than `timeout_s`."""
        with self._changed:
            self._awaited += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)
            finally:
                self._awaited -= 1

    def record(self, message: Message, decision: Decision) -> None:
        """Note a fresh decision, with disposition `pending`."""
        try:
            self._put(decision_row(message, decision))
            if self._keeper is not None:
                self._keeper.keep(message)
        except Exception as error:  # the contract: mail goes on, whatever is wrong with the log
            log.error("decision_not_logged", id=message.id, error=repr(error))

    def settle(self, decision: Decision, disposition: Disposition, detail: str = "") -> None:
        """Note what finally became of the message."""
        try:
            self._put(_Settlement(decision.message_id, settlement(disposition, detail)))
        except Exception as error:
            log.error("disposition_not_logged", id=decision.message_id, error=repr(error))

    def _put(self, entry: Row | _Settlement) -> None:
        with self._changed:
            if self._closing:
                self._drop(1)
                return
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self._drop(1)
            self._waiting.append(entry)
            if len(self._waiting) in (1, COMMIT_ROWS):  # between them the thread gathers, commits, or waits anyway
                self._changed.notify_all()

    def _drop(self, rows: int) -> None:
        self.dropped += rows
        if self.dropped & (self.dropped - 1) == 0:  # at 1, 2, 4, 8...: a stalled disk must not flood the log, too
            log.warning("decision_log_rows_dropped", so_far=self.dropped, database=shown(self._url))

    def _write(self) -> None:
        """The thread: commit what waits, else forget what is old, until closed."""
        pause = RETRY_S[0]
        while (entries := self._take()) is not None:
            try:
                if entries:
                    self._commit(entries)
                    self._recovered()
                self._forget()
                if not self._catch_up.done and self._engine is not None:
                    self._catch_up.step(self._engine)
                pause = RETRY_S[0]
                entries = []
            except Exception as error:  # any error: the log is never worth more than the mail
                self._trouble(error)
                self._reconnect()
                self._hurry.wait(pause)
                if self._closing:
                    time.sleep(RETRY_S[0])
                pause = min(pause * 2, RETRY_S[1])
            finally:
                self._put_back(entries)

    def _take(self) -> list[Row | _Settlement] | None:
        """What waits, empty when it is time to look after old rows, or None when all is done."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                patience = max(0.0, self._retention_due - time.monotonic()) if self._retention else None
                if patience == 0.0 or not self._catch_up.done:
                    return []
                self._changed.wait(patience)
            self._changed.wait_for(self._cannot_gather, GATHER_S)
            if self._closing and time.monotonic() > self._give_up_at:
                return None
            self._busy = True
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), COMMIT_ROWS))]

    def _cannot_gather(self) -> bool:
        return self._closing or self._awaited > 0 or len(self._waiting) >= COMMIT_ROWS

    def _put_back(self, entries: list[Row | _Settlement]) -> None:
        with self._changed:
            self._busy = False
            self._waiting.extendleft(reversed(entries))
            excess = len(self._waiting) - self._capacity
            for _ in range(excess):
                self._waiting.popleft()
                self._drop(1)
            self._changed.notify_all()

    def _commit(self, entries: Iterable[Row | _Settlement]) -> None:
        rows: dict[str, Row] = {}
        settlements: dict[str, Row] = {}
        for entry in entries:
            if isinstance(entry, _Settlement):
                target = rows.get(entry.id)
                if target is not None:
                    target.update(entry.values)
                else:
                    settlements[entry.id] = entry.values
            else:
                rows[entry["id"]] = entry
                settlements.pop(entry["id"], None)  # it settled an earlier scan of the same message
        try:
            self._apply(list(rows.values()), settlements)
        except (OperationalError, InterfaceError):
            raise  # the database's trouble, not a row's: all of it is tried again
        except SQLAlchemyError:
            self._commit_singly(rows, settlements)

    def _apply(self, rows: list[Row], settlements: Mapping[str, Row]) -> None:
        assert self._engine is not None
        with self._engine.begin() as connection:
            if rows:
                connection.execute(insert(decisions), rows)
                tallies = Tallies()
                for row in rows:
                    tallies.add(row)
                tallies.write(connection)
            if settlements:
                statement = update(decisions).where(decisions.c.id == bindparam("of"))
                connection.execute(statement, [{"of": id_, **values} for id_, values in settlements.items()])

    def _commit_singly(self, rows: Mapping[str, Row], settlements: Mapping[str, Row]) -> None:
        """One transaction a row: a message scanned twice replaces its row, and a bad row costs only itself."""
        for id_, row in rows.items():
            try:
                if not self._replace(row):
                    self._apply([row], {})
            except (OperationalError, InterfaceError):
                raise
            except SQLAlchemyError as error:
                if is_damage(error):
                    raise
                log.error("decision_not_logged", id=id_, error=reason(error))
        self._apply([], settlements)

    def _replace(self, row: Row) -> bool:
        assert self._engine is not None
        with self._engine.begin() as connection:
            found = connection.execute(select(decisions).where(decisions.c.id == row["id"])).mappings().first()
            if found is None:
                return False
            connection.execute(update(decisions).where(decisions.c.id == row["id"]).values(row))
            tallies = Tallies()
            if found["parties"] is not None:
                tallies.add(dict(found), -1)
            tallies.add(row)
            tallies.write(connection)
            return True

    def _forget(self) -> None:
        """Delete one chunk of rows that are older than retention; the next comes after what waits by then."""
        if self._retention is None or time.monotonic() < self._retention_due:
            return
        assert self._engine is not None
        old = (
            select(decisions.c.id)
            .where(decisions.c.time < datetime.now(UTC) - self._retention)
            .order_by(decisions.c.time)
            .limit(RETENTION_ROWS)
        )
        try:
            with self._engine.begin() as connection:
                found = list(connection.execute(old).scalars())
                if found:
                    connection.execute(delete(decisions).where(decisions.c.id.in_(found)))
        except Exception:
            self._retention_due = time.monotonic() + RETENTION_EVERY_S
            raise
        if len(found) < RETENTION_ROWS:
            self._retention_due = time.monotonic() + RETENTION_EVERY_S

    def _trouble(self, error: Exception) -> None:
        what = reason(error) if isinstance(error, SQLAlchemyError) else f"{type(error).__name__}: {error}"
        if what not in self._troubles:
            self._troubles.add(what)
            log.error("decision_log_cannot_be_written", error=what, database=shown(self._url), mail="goes on")

    def _reconnect(self) -> None:
        if self._engine is not None:
            self._engine.dispose()  # the file may be another one by the next try: restored, or on a mended disk

    def _recovered(self) -> None:
        if self._troubles:
            self._troubles.clear()
            log.info("decision_log_is_written_again", database=shown(self._url), dropped=self.dropped)
