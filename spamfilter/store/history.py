"""Reading the decision log: newest first, filtered, a page at a time, beside a daemon that is writing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import ColumnElement, Row, and_, func, or_, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from spamfilter.store.database import StoreError, open_database, reason, require_current, shown
from spamfilter.store.schema import decisions
from spamfilter.verdict import Disposition, Label


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One row of the log. `label` and `probability` are None for a message that could not be scanned.

    `recalled` names the labelled message that this one was like: content, label, time (seconds), similarity.
    Times are in UTC, `timings` in milliseconds, `size` in bytes. `rcpt_tos` holds the first hundred recipients.
    """

    id: str
    time: datetime
    channel: str
    mail_from: str | None
    rcpt_tos: Sequence[str]
    peer: str | None
    sha256: str
    content: str | None
    size: int
    label: str | None
    probability: float | None
    stages: Mapping[str, float]
    unsure_at: float | None
    spam_at: float | None
    failure: str | None
    failure_detail: str | None
    action: str
    model_id: str | None
    timings: Mapping[str, float]
    recalled: Mapping[str, Any] | None
    disposition: str
    disposition_detail: str | None
    settled: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Plain data for JSON: times in ISO 8601."""
        plain = asdict(self)
        plain["time"] = self.time.isoformat()
        plain["settled"] = self.settled.isoformat() if self.settled else None
        return plain


@dataclass(frozen=True, slots=True)
class Filter:
    """Which decisions: all that is set must hold. `since` is inclusive, `until` exclusive; both aware.

    `label` may be "unscanned". `sender` is any part of the envelope sender, whatever its case.
    """

    since: datetime | None = None
    until: datetime | None = None
    label: Label | str | None = None
    channel: str | None = None
    sender: str | None = None
    disposition: Disposition | str | None = None
    sha256: str | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """The conditions in SQL."""
        column = decisions.c
        wanted: list[ColumnElement[bool]] = []
        if self.since is not None:
            wanted.append(column.time >= self.since)
        if self.until is not None:
            wanted.append(column.time < self.until)
        if self.label == UNSCANNED:
            wanted.append(column.label.is_(None))
        elif self.label is not None:
            wanted.append(column.label == str(self.label))
        if self.channel is not None:
            wanted.append(column.channel == self.channel)
        if self.sender is not None:
            wanted.append(column.mail_from.icontains(self.sender, autoescape=True))
        if self.disposition is not None:
            wanted.append(column.disposition == str(self.disposition))
        if self.sha256 is not None:
            wanted.append(column.sha256 == self.sha256.lower())
        return wanted


UNSCANNED = "unscanned"
"""The name under which decisions without a label are listed."""


class History:
    """The log, for reading only. Use as a context manager, or call `close`. Every method raises StoreError."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine = open_database(url, writer=False)
        require_current(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def page(self, where: Filter | None = None, *, limit: int = 50, before: str | None = None) -> list[LoggedDecision]:
        """The newest decisions, newest first, at most `limit`; the next page is `before` the last one's id."""
        column = decisions.c
        clauses = (where or Filter()).clauses()
        if before is not None:
            last = self.get(before)
            clauses.append(or_(column.time < last.time, and_(column.time == last.time, column.id < last.id)))
        statement = select(decisions).where(*clauses).order_by(column.time.desc(), column.id.desc()).limit(limit)
        return [_logged(row) for row in self._rows(statement)]

    def count(self, where: Filter | None = None) -> int:
        """How many decisions there are."""
        rows = self._rows(select(func.count()).select_from(decisions).where(*(where or Filter()).clauses()))
        return int(rows[0][0])

    def get(self, prefix: str) -> LoggedDecision:
        """The one decision whose id starts with `prefix`."""
        column = decisions.c
        if not prefix:
            raise StoreError("an id is needed; `spamfilter decisions list` shows them")
        statement = select(decisions).where(column.id.startswith(prefix, autoescape=True)).order_by(column.id).limit(3)
        found = [_logged(row) for row in self._rows(statement)]
        exact = [decision for decision in found if decision.id == prefix]
        if exact or len(found) == 1:
            return (exact or found)[0]
        if found:
            ids = ", ".join(decision.id for decision in found)
            raise StoreError(f"several decisions start with {prefix!r}: {ids}...; write more of the id")
        raise StoreError(f"no decision {prefix!r}; `spamfilter decisions list` shows those that are kept")

    def _rows(self, statement: Any) -> Sequence[Row[Any]]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise StoreError(f"{shown(self._url)}: the decision log cannot be read: {reason(error)}") from None


def _logged(row: Row[Any]) -> LoggedDecision:
    return LoggedDecision(**row._mapping)
