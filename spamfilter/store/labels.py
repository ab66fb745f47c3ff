"""What people said of messages, and what is kept of those messages: the memory's and the trainer's one source.

Every correction is a row that stays, so that it can be taken back and that one who teaches wrong things can be found.
The last one that stands wins, and its label is repeated beside the example, in the same transaction. Beside the
decision log in the same database; a process killed at any instant leaves whole corrections only.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Connection, Engine, Row, and_, delete, event, insert, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from spamfilter.correction import Provenance
from spamfilter.document import EXTRACTION
from spamfilter.store.database import BUSY_TIMEOUT_MS, StoreError, migrate, open_database, reason, shown
from spamfilter.store.examples import Example, Reading, pack_document, reading_columns, storable
from spamfilter.store.label_lines import Taken, take_lines
from spamfilter.store.label_reader import LabelReader, label_in, place
from spamfilter.store.schema import examples, labels
from spamfilter.store.seal import Sealer, SealError
from spamfilter.verdict import Label

Result = TypeVar("Result")

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Change:
    """The label that stood before, and the one that stands now; None: no label."""

    before: Label | None
    after: Label | None


class LabelStore(LabelReader):
    """The labels, for writing too. Any number of processes may write; each waits its turn for some seconds at most.

    `keep_raw` keeps the message's bytes, not only its document; `retention_days` is for `prune` (0: for ever).
    """

    def __init__(
        self, url: URL, *, seal: Sealer | None = None, keep_raw: bool = False, retention_days: int = 0
    ) -> None:
        super().__init__(url, seal=seal)
        self._keep_raw = keep_raw
        self._retention = timedelta(days=retention_days) if retention_days else None
        self._writer: Engine | None = None

    def open(self) -> None:
        """Connect and bring the tables up to date. Raises StoreError."""
        writer = open_database(self._url, writer=True)
        if writer.dialect.name == "sqlite":
            _close_to_others(Path(str(self._url.database)))
            event.listen(writer, "connect", _overwrite_what_goes)
        try:
            _migrated(writer)
            self._writer = writer
            super().open()
        except BaseException:
            self._writer = None
            writer.dispose()
            raise

    def close(self) -> None:
        """Let go of the database."""
        super().close()
        if self._writer is not None:
            self._writer.dispose()
            self._writer = None

    def record(self, example: Example, label: Label, provenance: Provenance, *, time: datetime | None = None) -> Change:
        """Keep what one said of a message; from now on that label stands. Said again by the same, it changes nothing.

        `time` is when it was said, where that is not now. Raises ValueError for a label that no person gives.
        """
        if label not in (Label.HAM, Label.SPAM):
            raise ValueError(f"people say ham or spam, not {label}")

        def recorded(connection: Connection) -> Change:
            last = _standing(connection, example.content)
            before = label_in(last)
            said = _event(example.content, label, provenance, last, time)
            if last is None or before is not label or last._mapping["who"] != said["who"]:
                connection.execute(insert(labels), said)
            else:
                said["time"] = last._mapping["time"]
            row = {**_repeated(said), **self._kept(example)}
            reading = reading_columns(example.reading)
            changed = row if example.reading is None else {**row, **reading}  # what a model made of it before, stays
            found = connection.execute(update(examples).where(examples.c.content == example.content).values(changed))
            if not found.rowcount:
                connection.execute(insert(examples), {**row, **reading})
            return Change(before, label)

        return self._write(recorded)

    def undo(self, content: str, provenance: Provenance | None = None) -> Change:
        """Take back the last correction: the label before it stands again, or none. Nothing to take back: no change."""

        def undone(connection: Connection) -> Change:
            last = _standing(connection, content)
            if last is None or label_in(last) is None:
                return Change(None, None)
            taken_back = {
                "undone": datetime.now(UTC),
                "undone_by": None if provenance is None else storable(provenance.who),
            }
            connection.execute(update(labels).where(labels.c.id == last._mapping["id"]).values(taken_back))
            now = _standing(connection, content)
            if now is None or label_in(now) is None:
                connection.execute(delete(examples).where(examples.c.content == content))
            else:
                row = _repeated(dict(now._mapping))
                connection.execute(update(examples).where(examples.c.content == content).values(row))
            return Change(label_in(last), label_in(now))

        return self._write(undone)

    def forget(self, content: str, provenance: Provenance, *, time: datetime | None = None) -> Change:
        """Delete all that is kept of a content. Its hash stays, with who forgot it, so that no import brings it back.

        `scrub` then takes what the database's journal still holds.
        """

        def forgotten(connection: Connection) -> Change:
            last = _standing(connection, content)
            known = connection.execute(select(labels.c.id).where(labels.c.content == content).limit(1)).first()
            if known is None or (last is not None and label_in(last) is None):
                return Change(None, None)
            said = _event(content, None, provenance, last, time)
            connection.execute(delete(examples).where(examples.c.content == content))
            connection.execute(delete(labels).where(labels.c.content == content))
            connection.execute(insert(labels), said)
            return Change(label_in(last), None)

        return self._write(forgotten)

    def note(self, content: str, reading: Reading) -> None:
        """Keep what a model made of an example; nothing where that has gone meanwhile."""
        row = reading_columns(reading)
        self._write(lambda to: to.execute(update(examples).where(examples.c.content == content).values(row)))

    def last_said(self, content: str) -> datetime | None:
        """When anything last happened to a content: said, taken back or forgotten."""
        rows = self._reading.rows(select(labels.c.time, labels.c.undone).where(labels.c.content == content))
        return max((moment for row in rows for moment in row if moment is not None), default=None)

    def prune(self, *, now: datetime | None = None) -> int:
        """Delete examples and corrections older than retention; how many examples went."""
        if self._retention is None:
            return 0
        before = (now or datetime.now(UTC)) - self._retention
        old = select(examples.c.content).where(examples.c.time < before).limit(_CHUNK)
        gone = 0
        while self._reading.rows(old):

            def pruned(connection: Connection) -> int:
                found = list(connection.execute(old).scalars())
                connection.execute(delete(labels).where(labels.c.content.in_(found)))
                connection.execute(delete(examples).where(examples.c.content.in_(found)))
                return len(found)

            gone += self._write(pruned)
        kept = select(examples.c.content)
        stale = and_(labels.c.time < before, labels.c.content.not_in(kept))
        if self._reading.rows(select(labels.c.id).where(stale).limit(1)):
            self._write(lambda to: to.execute(delete(labels).where(stale)))
        return gone

    def seal_all(self) -> int:
        """Seal what is kept open; how many examples. Call `scrub` then. Raises SealError without a key."""
        if self._seal is None:
            raise SealError("there is no key to seal with; `spamfilter labels key` makes one")
        sealed = 0
        while found := self._reading.rows(select(examples.c.content).where(examples.c.sealed.is_(False)).limit(_CHUNK)):
            for (content,) in found:

                def closed(connection: Connection, content: str = content) -> None:
                    row = connection.execute(select(examples).where(examples.c.content == content)).first()
                    if row is None or row._mapping["sealed"]:
                        return
                    held = row._mapping
                    values = self._stored(content, bytes(held["document"]), held["raw"])
                    connection.execute(update(examples).where(examples.c.content == content).values(values))

                self._write(closed)
            sealed += len(found)
        return sealed

    def scrub(self) -> bool:
        """Take deleted rows out of SQLite's journal too; False when another process holds it open just now."""
        if self._writer is None or self._writer.dialect.name != "sqlite":
            return True
        try:
            raw = self._writer.raw_connection()
            try:
                cursor = raw.cursor()
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy = (cursor.fetchone() or (1,))[0]
                cursor.close()
            finally:
                raw.close()
        except (SQLAlchemyError, self._writer.dialect.loaded_dbapi.Error):
            return False
        return not busy

    def take(self, stream: IO[bytes]) -> Taken:
        """Import what `export` wrote; the later label wins, and a bad line costs only itself."""
        return take_lines(self, stream)

    def _kept(self, example: Example) -> dict[str, Any]:
        raw = example.raw if self._keep_raw else None
        return {
            "kind": example.kind.value,
            "size": example.size,
            "extraction": EXTRACTION,
            **self._stored(example.content, pack_document(example.document), raw),
        }

    def _stored(self, content: str, document: bytes, raw: bytes | None) -> dict[str, Any]:
        """The columns that may be sealed."""
        if self._seal is None:
            return {"sealed": False, "document": document, "raw": raw}
        return {
            "sealed": True,
            "document": self._seal.seal(document, place(content, "document")),
            "raw": None if raw is None else self._seal.seal(bytes(raw), place(content, "raw")),
        }

    def _write(self, change: Callable[[Connection], Result]) -> Result:
        if self._writer is None:
            raise StoreError(f"{shown(self._url)}: the labels are not open for writing")
        try:
            try:
                with self._writer.begin() as connection:
                    return change(connection)
            except IntegrityError:  # PostgreSQL: another process labelled the same content between look and insert
                with self._writer.begin() as connection:
                    return change(connection)
        except SQLAlchemyError as error:
            raise StoreError(f"{shown(self._url)}: the labels cannot be written: {reason(error)}") from None


def _migrated(writer: Engine) -> None:
    """Bring the tables up to date. SQLite does not wait its turn where two make a new file a WAL one at once."""
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            return migrate(writer)
        except StoreError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.05)


def _close_to_others(path: Path) -> None:
    """From now on the file holds what people wrote to each other: not for every user of the host to read."""
    with contextlib.suppress(OSError):  # a file of another user, who sees to it himself
        path.touch(mode=0o600)
        mode = path.stat().st_mode & 0o777
        if mode & 0o007:
            path.chmod(mode & ~0o007)


def _overwrite_what_goes(connection: Any, _record: object) -> None:
    """SQLite otherwise leaves deleted rows in the file until their pages are used again."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _standing(connection: Connection, content: str) -> Row[Any] | None:
    """The last correction of a content that was not taken back."""
    statement = select(labels).where(labels.c.content == content, labels.c.undone.is_(None))
    return connection.execute(statement.order_by(labels.c.id.desc()).limit(1)).first()


def _event(
    content: str, label: Label | None, provenance: Provenance, last: Row[Any] | None, time: datetime | None
) -> dict[str, Any]:
    """A correction as a row; never earlier than the one before it, so that order and time agree."""
    moment = time or datetime.now(UTC)
    if last is not None:
        moment = max(moment, last._mapping["time"])
    return {
        "content": content,
        "label": None if label is None else label.value,
        "who": storable(provenance.who),
        "how": storable(provenance.how, 64),
        "channel": storable(provenance.channel, 32),
        "time": moment,
    }


def _repeated(said: dict[str, Any]) -> dict[str, Any]:
    """The columns of a correction that stand beside the example, too."""
    return {name: said[name] for name in ("content", "label", "who", "how", "channel", "time")}
