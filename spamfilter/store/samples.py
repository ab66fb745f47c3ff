"""Samples of the mail that passed, for the trainer and for drift: what a message was like, never what it said.

Beside the decision log in the same database, and beside its writer: every transaction is a row or a few hundred. The
newest samples hold what the stages read of a message, sealed where there is a key; older ones only when it came, its
score, its language and how much of it the model does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import Engine, Row, delete, insert, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from spamfilter.classifier.sampled import Sampled, is_open
from spamfilter.store.database import StoreError, open_database, reason, shown
from spamfilter.store.examples import storable
from spamfilter.store.reading import Reading
from spamfilter.store.schema import samples
from spamfilter.store.seal import Sealer, SealError

_CHUNK = 200
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class Trait:
    """What stays of a message: its time, the model that read it, its language and its unknown share; None: not told."""

    time: datetime
    model_id: str
    language: str | None
    unknown: float | None


class SampleReader:
    """The samples, for reading only, beside whoever writes. A context manager; every method raises StoreError."""

    def __init__(self, url: URL, *, seal: Sealer | None = None) -> None:
        self._url, self._seal = url, seal
        self._reading = Reading(url, "the samples")

    def open(self) -> None:
        """Connect; the tables must be there (`DecisionStore.open` makes them)."""
        self._reading.open()

    def close(self) -> None:
        """Let go of the database."""
        self._reading.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def recent(self, models: frozenset[str], most: int) -> list[bytes]:
        """The inputs of the newest `most` samples that one of `models` read, newest first.

        Those that are sealed with another key, or damaged, are left out: they are no more than a help.
        """
        column = samples.c
        held = (column.inputs.is_not(None), column.model_id.in_(models))
        wanted = select(column.time, column.model_id, column.inputs).where(*held)
        found = []
        for row in self._reading.rows(wanted.order_by(column.time.desc(), column.id.desc()).limit(most)):
            inputs = self._opened(row)
            if inputs is not None:
                found.append(inputs)
        return found

    def traits(self, since: datetime) -> Iterator[Trait]:
        """What all samples from `since` on were like, oldest first, a page at a time."""
        column = samples.c
        wanted = select(column.id, column.time, column.model_id, column.language, column.unknown)
        last = 0
        while True:
            page = wanted.where(column.time >= since, column.id > last).order_by(column.id).limit(_PAGE)
            rows = self._reading.rows(page)
            for row in rows:
                yield Trait(row.time, row.model_id, row.language, row.unknown)
            if len(rows) < _PAGE:
                return
            last = rows[-1].id

    def _opened(self, row: Row[Any]) -> bytes | None:
        inputs = bytes(row.inputs)
        if is_open(inputs):
            return inputs
        if self._seal is None:
            return None
        try:
            return self._seal.open(inputs, _place(row.model_id, row.time))
        except SealError:
            return None


class SampleStore(SampleReader):
    """The samples, for writing too. For one thread at a time."""

    def __init__(self, url: URL, *, seal: Sealer | None = None, keep: int, days: int, retention_days: int = 0) -> None:
        """The newest `keep` samples hold their inputs for `days`; rows go after `retention_days` (0: never)."""
        super().__init__(url, seal=seal)
        self._keep, self._days, self._retention_days = keep, days, retention_days
        self._writer: Engine | None = None

    def open(self) -> None:
        """Connect, and let go of what grew too old while nobody wrote; the tables must be there."""
        super().open()
        self._writer = open_database(self._url, writer=True)
        try:
            self.prune()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database."""
        super().close()
        if self._writer is not None:
            self._writer.dispose()
            self._writer = None

    def add(self, sample: Sampled, *, time: datetime | None = None) -> None:
        """Keep one more, and let go of what is too much or too old."""
        moment = time or datetime.now(UTC)
        model_id = storable(sample.model_id, 128)
        inputs = None
        if self._keep and self._days:
            place = _place(model_id, moment)
            inputs = sample.inputs if self._seal is None else self._seal.seal(sample.inputs, place)
        row = {
            "time": moment,
            "model_id": model_id,
            "probability": float(sample.probability),
            "language": storable(sample.language, 16),
            "unknown": float(sample.unknown),
            "inputs": inputs,
        }
        self._write(insert(samples).values(row))
        self.prune(now=moment)

    def prune(self, *, now: datetime | None = None) -> None:
        """Take the inputs of all but the newest, and rows past their days. What there is to do is looked up without a
        lock, so that the decision log waits for no search."""
        moment, column = now or datetime.now(UTC), samples.c
        held = select(column.id).where(column.inputs.is_not(None))
        aged = column.time < moment - timedelta(days=self._days)
        newest_first = held.order_by(column.time.desc(), column.id.desc())
        for spent in (newest_first.offset(self._keep), held.where(aged)):
            while found := [row.id for row in self._reading.rows(spent.limit(_CHUNK))]:
                self._write(update(samples).where(column.id.in_(found)).values(inputs=None))
        if self._retention_days:
            old = select(column.id).where(column.time < moment - timedelta(days=self._retention_days)).limit(_CHUNK)
            while found := [row.id for row in self._reading.rows(old)]:
                self._write(delete(samples).where(column.id.in_(found)))

    def _write(self, statement: Any) -> None:
        if self._writer is None:
            raise StoreError(f"{shown(self._url)}: the samples are not open for writing")
        try:
            with self._writer.begin() as connection:
                connection.execute(statement)
        except SQLAlchemyError as error:
            raise StoreError(f"{shown(self._url)}: a sample cannot be written: {reason(error)}") from None


def _place(model_id: str, time: datetime) -> str:
    """To which place sealed inputs are bound; times are kept to the microsecond."""
    return f"sample of {model_id} at {time.astimezone(UTC).isoformat()}"
