"""Reading what people said of messages: by content, by time, by person; the trainer's snapshots come from here.

Beside the decision log in the same database, and beside whoever writes; a long reading goes page by page, so that it
neither fills memory nor keeps the database's journal from being cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

from sqlalchemy import ColumnElement, Row, and_, func, or_, select
from sqlalchemy.engine import URL

from spamfilter.correction import Correction, Provenance
from spamfilter.document import EXTRACTION, extract
from spamfilter.message import Kind
from spamfilter.store.database import StoreError, shown
from spamfilter.store.examples import Labelled, Remembered, reading_of, unpack_document
from spamfilter.store.label_lines import write_lines
from spamfilter.store.reading import Reading
from spamfilter.store.schema import examples, labels
from spamfilter.store.seal import Sealer, SealError
from spamfilter.verdict import Label

PAGE = 100
"""Rows read at a time: a snapshot of many documents must not stand in memory."""
_SHORTEST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Counts:
    """How many examples stand under each label, and for each person under each label."""

    by_label: dict[Label, int]
    by_who: dict[str, dict[Label, int]]


class LabelReader:
    """The labels, for reading only, beside whoever writes. `open` first, or use as a context manager.

    Every method raises StoreError; SealError where an example is sealed and there is no key, or another.
    """

    def __init__(self, url: URL, *, seal: Sealer | None = None) -> None:
        self._url = url
        self._seal = seal
        self._reading = Reading(url, "the labels")

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Connect. A database without labels is an error that says how to make some."""
        database = self._url.database
        if self._url.get_backend_name() == "sqlite" and not Path(str(database)).exists():
            raise StoreError(
                f"{shown(self._url)}: there are no labels yet; `spamfilter learn` takes them (is --state-dir right?)"
            )
        self._reading.open()

    def close(self) -> None:
        """Let go of the database."""
        self._reading.close()

    def label_of(self, content: str) -> Label | None:
        """The label that stands, or None."""
        found = self._reading.rows(select(examples.c.label).where(examples.c.content == content))
        return Label(found[0][0]) if found else None

    def get(self, content: str) -> Labelled | None:
        """All that is kept of one content, or None."""
        found = self._reading.rows(select(examples).where(examples.c.content == content))
        return self._labelled(found[0]) if found else None

    def labelled(
        self,
        since: datetime | None = None,
        *,
        label: Label | None = None,
        who: str | None = None,
        newest_first: bool = False,
    ) -> Iterator[Labelled]:
        """Examples by the time of their label, oldest first. Labels that come meanwhile may be in it or not."""
        column = examples.c
        wanted: list[ColumnElement[bool]] = [] if since is None else [column.time >= since]
        if label is not None:
            wanted.append(column.label == label.value)
        if who is not None:
            wanted.append(column.who == who)
        order = [column.time.desc(), column.content.desc()] if newest_first else [column.time, column.content]
        last: Row[Any] | None = None
        while True:
            further: list[ColumnElement[bool]] = []
            if last is not None:
                time, content = last._mapping["time"], last._mapping["content"]
                beyond = column.time < time if newest_first else column.time > time
                tied = column.content < content if newest_first else column.content > content
                further.append(or_(beyond, and_(column.time == time, tied)))
            page = self._reading.rows(select(examples).where(*wanted, *further).order_by(*order).limit(PAGE))
            for row in page:
                yield self._labelled(row)
            if len(page) < PAGE:
                return
            last = page[-1]

    def remembered(self, label: Label, most: int) -> list[Remembered]:
        """The newest examples of a label, newest first, without their documents."""
        column = examples.c
        wanted = (column.content, column.label, column.time, column.model_id, column.probability)
        statement = (
            select(*wanted, column.extraction, column.raw.is_not(None).label("has_raw"))
            .add_columns(column.fingerprint, column.pooled)
            .where(column.label == label.value)
            .order_by(column.time.desc(), column.content.desc())
            .limit(most)
        )
        rows = [row._mapping for row in self._reading.rows(statement)]
        return [
            Remembered(
                row["content"],
                Label(row["label"]),
                row["time"],
                reading_of(row),
                row["has_raw"] or row["extraction"] == EXTRACTION,
            )
            for row in rows
        ]

    def corrections(self, content: str | None = None, *, undone: bool = False) -> list[Correction]:
        """What was said, oldest first: all that stands, of one content or of all; with `undone` what was taken back."""
        column = labels.c
        wanted: list[ColumnElement[bool]] = [column.undone.is_not(None) if undone else column.undone.is_(None)]
        if content is not None:
            wanted.append(column.content == content)
        return [_correction(row) for row in self._reading.rows(select(labels).where(*wanted).order_by(column.id))]

    def counts(self) -> Counts:
        """How many examples stand under each label."""
        column = examples.c
        statement = select(column.who, column.label, func.count()).group_by(column.who, column.label)
        by_label = dict.fromkeys((Label.HAM, Label.SPAM), 0)
        by_who: dict[str, dict[Label, int]] = {}
        for who, given, count in (tuple(row) for row in self._reading.rows(statement)):
            label = Label(given)
            by_label[label] += count
            by_who.setdefault(who, {})[label] = count
        return Counts(by_label, by_who)

    def find(self, prefix: str) -> str:
        """The one labelled content whose hash begins with `prefix`."""
        wanted = prefix.strip().lower()
        if len(wanted) < _SHORTEST_PREFIX or wanted.strip("0123456789abcdef"):
            raise StoreError(f"{prefix!r} is no hash; `spamfilter labels list` shows them (four digits are enough)")
        statement = select(examples.c.content).where(examples.c.content.startswith(wanted)).limit(2)
        found = [str(row[0]) for row in self._reading.rows(statement)]
        if len(found) > 1:
            raise StoreError(f"several contents begin with {prefix}; write more of the hash")
        if not found:
            raise StoreError(f"nothing labelled begins with {prefix}; `spamfilter labels list` shows what is")
        return found[0]

    def export(self, stream: IO[bytes]) -> int:
        """Write everything as JSON lines, unsealed, oldest first; how many lines."""
        return write_lines(self, stream)

    def _labelled(self, row: Row[Any]) -> Labelled:
        held = row._mapping
        content, kind, extraction = held["content"], Kind(held["kind"]), held["extraction"]
        raw = None if held["raw"] is None else self._opened(held["raw"], held, "raw")
        document = None
        if extraction == EXTRACTION:
            packed = self._opened(held["document"], held, "document")
            try:
                document = unpack_document(packed)
            except ValueError as error:
                raise StoreError(f"{shown(self._url)}: example {content[:12]} is damaged: {error}") from None
        elif raw is not None:
            document, extraction = extract(raw, kind), EXTRACTION
        return Labelled(
            content,
            Label(held["label"]),
            Provenance(held["who"], held["how"], held["channel"]),
            held["time"],
            kind,
            held["size"],
            extraction,
            document,
            raw,
            reading_of(held),
        )

    def _opened(self, value: bytes, held: Any, what: str) -> bytes:
        if not held["sealed"]:
            return bytes(value)
        if self._seal is None:
            raise SealError(
                f"{shown(self._url)}: example {held['content'][:12]} is sealed, and there is no key file; "
                "put back the one that `spamfilter labels key` made"
            )
        return self._seal.open(bytes(value), place(held["content"], what))


def label_in(row: Row[Any] | None) -> Label | None:
    """The label in a row of `labels`; None where it is none, or there is no row."""
    found = None if row is None else row._mapping["label"]
    return None if found is None else Label(found)


def _correction(row: Row[Any]) -> Correction:
    held = row._mapping
    return Correction(
        held["content"], label_in(row), Provenance(held["who"], held["how"], held["channel"]), held["time"]
    )


def place(content: str, what: str) -> str:
    """To which place a sealed value is bound."""
    return f"example {content} {what}"
