"""Who did what by hand, and from where: a list that is only ever added to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import Engine, insert, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from spamfilter.store.database import StoreError, open_database, reason, shown
from spamfilter.store.decision_rows import bounded
from spamfilter.store.reading import Reading
from spamfilter.store.schema import audit


@dataclass(frozen=True, slots=True)
class Deed:
    """One row. `number` counts up; `subject` is what it was done to, `address` the host that asked, where one did."""

    number: int
    time: datetime
    who: str
    role: str
    action: str
    subject: str
    detail: str | None
    address: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain data for JSON: the time in ISO 8601."""
        return {**asdict(self), "time": self.time.isoformat()}


class Audit:
    """Writes and reads the list, opened when it is first used: whoever serves makes its tables, perhaps later than
    this. Any thread may call. Use as a context manager, or call `close`; what comes then opens it again."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._reading = Reading(url, "the audit's rows")
        self._writing: Engine | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        with self._turn:
            self._reading.close()
            if self._writing is not None:
                self._writing.dispose()
                self._writing = None

    def note(
        self, who: str, role: str, action: str, subject: str, detail: str | None = None, address: str | None = None
    ) -> None:
        """Add a row, committed when this returns. Raises StoreError: what cannot be noted must not be done."""
        row = {
            "time": datetime.now(UTC),
            "who": bounded(who),
            "role": bounded(role)[:16],
            "action": bounded(action)[:64],
            "subject": bounded(subject),
            "detail": None if detail is None else bounded(detail),
            "address": None if address is None else bounded(address),
        }
        writing = self._opened()
        try:
            with writing.begin() as connection:
                connection.execute(insert(audit), row)
        except SQLAlchemyError as error:
            raise StoreError(f"{shown(self._url)}: the audit cannot be written: {reason(error)}") from None

    def page(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        who: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> Sequence[Deed]:
        """The newest rows, newest first; the next page is `before` the last one's number. Raises StoreError."""
        column = audit.c
        wanted = [held == value for held, value in ((column.who, who), (column.action, action)) if value is not None]
        if subject is not None:
            wanted.append(column.subject == subject)
        if before is not None:
            wanted.append(column.id < before)
        statement = select(audit).where(*wanted).order_by(column.id.desc()).limit(limit)
        self._opened()
        return [Deed(*tuple(row)) for row in self._reading.rows(statement)]

    def _opened(self) -> Engine:
        """What writes, which connects when it does; the tables are there. Raises StoreError."""
        with self._turn:
            if self._writing is None:
                self._reading.open()
                self._writing = open_database(self._url, writer=True)
            return self._writing
