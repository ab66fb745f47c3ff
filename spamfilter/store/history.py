"""Reading the decision log: newest first, filtered, a page at a time, beside a daemon that is writing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, Row, func, literal, or_, select, tuple_
from sqlalchemy.engine import URL

from spamfilter.store.database import StoreError
from spamfilter.store.parties import ESCAPE, anyone_like, recipient_like, sender_like
from spamfilter.store.reading import Reading
from spamfilter.store.schema import decisions
from spamfilter.store.tallies import UNSCANNED
from spamfilter.verdict import Action, Disposition, Label

LOOK_ROWS = 250_000
"""How many decisions one look for a page passes at most: some 50 ms, also on a machine that has other work."""
NEAR_ROWS = 5_000
"""How many are looked at first: most pages are full by then."""
EACH_ROWS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DIGITS = 17  # of microseconds: until the year 5138
_NEWEST = (decisions.c.time.desc(), decisions.c.id.desc())
_place = tuple_(decisions.c.time, decisions.c.id)
_SHOWN = [column for column in decisions.c if column is not decisions.c.parties]


class UnknownDecisionError(StoreError):
    """No decision has this id, or several begin with it."""


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

    `label` may be "unscanned". `sender`, `recipient` and `text` are any part, whatever its case: of the envelope sender
    (`<>` is the null sender), of a recipient, of either or the peer; `text` may also be how the id begins. `least` and
    `most` are probabilities, both inclusive; what was not scanned has none.
    """

    since: datetime | None = None
    until: datetime | None = None
    label: Label | str | None = None
    action: Action | str | None = None
    channel: str | None = None
    sender: str | None = None
    recipient: str | None = None
    text: str | None = None
    least: float | None = None
    most: float | None = None
    model_id: str | None = None
    disposition: Disposition | str | None = None
    sha256: str | None = None
    content: str | None = None

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
        for held, value in (
            (column.action, self.action),
            (column.channel, self.channel),
            (column.model_id, self.model_id),
            (column.disposition, self.disposition),
            (column.sha256, self.sha256 and self.sha256.lower()),
            (column.content, self.content),
        ):
            if value is not None:
                wanted.append(held == str(value))
        if self.least is not None:
            wanted.append(column.probability >= self.least)
        if self.most is not None:
            wanted.append(column.probability <= self.most)
        if self.sender is not None:
            wanted.append(column.parties.like(sender_like(self.sender), escape=ESCAPE))
        if self.recipient is not None:
            wanted.append(column.parties.like(recipient_like(self.recipient), escape=ESCAPE))
        if self.text is not None:
            begins = column.id.startswith(self.text.lower(), autoescape=True)
            wanted.append(or_(column.parties.like(anyone_like(self.text), escape=ESCAPE), begins))
        return wanted


@dataclass(frozen=True, slots=True)
class Look:
    """Some decisions, newest first, and how far was looked. `older` goes on from there; None: there is no more.

    `back_to` is the time of the oldest decision that was looked at where the look ended before `limit` was found.
    """

    decisions: Sequence[LoggedDecision]
    older: str | None
    back_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """So many decisions, and whether these are all; else there are so many at least."""

    number: int
    whole: bool


class History:
    """The log, for reading only. Use as a context manager, or call `close`. Every method raises StoreError.

    `before` is the id of a decision, or what `Look.older` said.
    """

    def __init__(self, url: URL) -> None:
        self._reading = Reading(url, "the decisions")
        self._reading.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._reading.close()

    def page(self, where: Filter | None = None, *, limit: int = 50, before: str | None = None) -> list[LoggedDecision]:
        """The newest decisions, newest first, at most `limit`, however long the looking takes."""
        return self._newest(where, limit, [] if before is None else [_place < self._key(before)])

    def look(
        self, where: Filter | None = None, *, limit: int = 50, before: str | None = None, rows: int = LOOK_ROWS
    ) -> Look:
        """The same among the next `rows` decisions only, so that a rare word does not hold up a person's page."""
        beyond = [] if before is None else [_place < self._key(before)]
        exact = where is not None and (where.sha256 or where.content)  # these have an index of their own
        for reach in (min(NEAR_ROWS, rows), rows):
            end = None if exact else self._end(where, reach, beyond)
            found = self._newest(_down_to(end, where), limit, [*beyond, *_within(end)])
            if len(found) == limit:
                return Look(found, _cursor(found[-1].time, found[-1].id))
            if end is None or reach == rows:
                break
        return Look(found, None) if end is None else Look(found, _cursor(*end), end[0])

    def each(self, where: Filter | None = None) -> Iterator[LoggedDecision]:
        """All of them, newest first, read some at a time: neither memory nor the database's journal grows by it."""
        beyond: list[ColumnElement[bool]] = []
        while page := self._newest(where, EACH_ROWS, beyond):
            yield from page
            beyond = [_place < _key_of(page[-1].time, page[-1].id)]

    def count(self, where: Filter | None = None) -> int:
        """How many decisions there are, however long the counting takes."""
        return self._count(where, [], None)

    def count_some(self, where: Filter | None = None, *, most: int = 10_000, rows: int = LOOK_ROWS) -> Count:
        """The same, no further than `most`, and among the newest `rows` only."""
        end = self._end(where, rows, [])
        found = self._count(_down_to(end, where), _within(end), most)
        return Count(found, found < most and end is None)

    def get(self, prefix: str) -> LoggedDecision:
        """The one decision whose id starts with `prefix`. Raises UnknownDecisionError."""
        column = decisions.c
        if not prefix:
            raise UnknownDecisionError("an id is needed; `spamfilter decisions list` shows them")
        upto = column.id < prefix[:-1] + chr(min(ord(prefix[-1]) + 1, 0x10FFFF))  # LIKE would not use the primary key
        statement = select(*_SHOWN).where(column.id >= prefix, upto).order_by(column.id).limit(3)
        found = [_logged(row) for row in self._reading.rows(statement)]
        exact = [decision for decision in found if decision.id == prefix]
        if exact or len(found) == 1:
            return (exact or found)[0]
        if found:
            ids = ", ".join(decision.id for decision in found)
            raise UnknownDecisionError(f"several decisions start with {prefix!r}: {ids}...; write more of the id")
        raise UnknownDecisionError(f"no decision {prefix!r}; `spamfilter decisions list` shows those that are kept")

    def _newest(self, where: Filter | None, limit: int, further: Sequence[ColumnElement[bool]]) -> list[LoggedDecision]:
        clauses = [*(where or Filter()).clauses(), *further]
        return [
            _logged(row) for row in self._reading.rows(select(*_SHOWN).where(*clauses).order_by(*_NEWEST).limit(limit))
        ]

    def _end(
        self, where: Filter | None, rows: int, further: Sequence[ColumnElement[bool]]
    ) -> tuple[datetime, str] | None:
        """Where a look over so many decisions ends; None where there are not so many."""
        column = decisions.c
        since = [] if where is None or where.since is None else [column.time >= where.since]
        until = [] if where is None or where.until is None else [column.time < where.until]
        ordered = select(column.time, column.id).where(*further, *since, *until).order_by(*_NEWEST)
        for time, id_ in map(tuple, self._reading.rows(ordered.offset(rows - 1).limit(1))):
            return time, id_
        return None

    def _count(self, where: Filter | None, further: Sequence[ColumnElement[bool]], most: int | None) -> int:
        clauses = [*(where or Filter()).clauses(), *further]
        counted = select(literal(1)).select_from(decisions).where(*clauses).limit(most).subquery()
        return int(self._reading.rows(select(func.count()).select_from(counted))[0][0])

    def _key(self, before: str) -> ColumnElement[Any]:
        microseconds, dot, id_ = before.partition(".")
        if dot and microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= _MOST_DIGITS:
            return _key_of(_EPOCH + timedelta(microseconds=int(microseconds)), id_)
        last = self.get(before)
        return _key_of(last.time, last.id)


def _logged(row: Row[Any]) -> LoggedDecision:
    return LoggedDecision(**row._mapping)


def _within(end: tuple[datetime, str] | None) -> list[ColumnElement[bool]]:
    return [] if end is None else [_place >= _key_of(*end)]


def _down_to(end: tuple[datetime, str] | None, where: Filter | None) -> Filter | None:
    """A filter without the beginning that an end after it makes idle: SQLite would read on to that beginning."""
    return where if end is None or where is None else replace(where, since=None)


def _cursor(time: datetime, id_: str) -> str:
    return f"{(time - _EPOCH) // timedelta(microseconds=1)}.{id_}"


def _key_of(time: datetime, id_: str) -> ColumnElement[Any]:
    return tuple_(time, id_, types=[decisions.c.time.type, decisions.c.id.type])
