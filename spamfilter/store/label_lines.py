"""Labels from host to host: one JSON object a line, whole and unsealed, with the document and the bytes where kept.

What a line says is checked before it is believed: it may come from anywhere. What models made of an example is not in
it, since the other host has its own.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, Protocol

from spamfilter.classifier.examined import document_as_json, document_from_json
from spamfilter.correction import Correction, Provenance, content_hash
from spamfilter.document import EXTRACTION, extract
from spamfilter.message import Kind
from spamfilter.store.examples import Example, Labelled
from spamfilter.verdict import Label

MOST_LINE_BYTES = 128 * 1024 * 1024
_CONTENT = re.compile(r"[0-9a-f]{64}")
_BAD_LINES_KEPT = 100


@dataclass(slots=True)
class Taken:
    """What an import did: examples that are new, labels that changed, forgotten contents, lines that knew no more.

    `bad` says in words what was wrong with lines that were left out, the first hundred of `bad_count`.
    """

    new: int = 0
    changed: int = 0
    forgotten: int = 0
    older: int = 0
    bad_count: int = 0
    bad: list[str] = field(default_factory=list)


class Written(Protocol):
    """Labels as far as they are written out; `label_reader.LabelReader` says what each method does."""

    def labelled(self) -> Iterable[Labelled]: ...

    def corrections(self) -> Iterable[Correction]: ...

    def label_of(self, content: str) -> Label | None: ...


class Change(Protocol):
    """The label that stood before, and the one that stands now."""

    @property
    def before(self) -> Label | None: ...

    @property
    def after(self) -> Label | None: ...


class Taking(Protocol):
    """Labels as far as lines are taken into them; `labels.LabelStore` says what each method does."""

    def last_said(self, content: str) -> datetime | None: ...

    def record(self, example: Example, label: Label, provenance: Provenance, *, time: datetime | None) -> Change: ...

    def forget(self, content: str, provenance: Provenance, *, time: datetime | None) -> Change: ...


def write_lines(reader: Written, stream: IO[bytes]) -> int:
    """Write every standing label and every forgotten content; how many lines."""
    count = 0
    for labelled in reader.labelled():
        stream.write(_line(_plain(labelled)))
        count += 1
    for correction in reader.corrections():
        if correction.label is None and reader.label_of(correction.content) is None:
            stream.write(_line(_head(correction)))
            count += 1
    return count


def take_lines(store: Taking, stream: IO[bytes]) -> Taken:
    """Take lines that `write_lines` wrote, each in a transaction of its own. Raises StoreError."""
    taken = Taken()
    number = 0
    while line := stream.readline(MOST_LINE_BYTES):
        number += 1
        if not line.strip():
            continue
        try:
            correction, example = _read(line)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            taken.bad_count += 1
            if len(taken.bad) < _BAD_LINES_KEPT:
                what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
                taken.bad.append(f"line {number}: {what[:200]}")
            continue
        _take(store, correction, example, taken)
    return taken


def _take(store: Taking, correction: Correction, example: Example | None, taken: Taken) -> None:
    said = store.last_said(correction.content)
    if said is not None and said >= correction.time:
        taken.older += 1
    elif example is None or correction.label is None:
        change = store.forget(correction.content, correction.provenance, time=correction.time)
        taken.forgotten += change.before is not None
        taken.older += change.before is None
    else:
        change = store.record(example, correction.label, correction.provenance, time=correction.time)
        taken.new += change.before is None
        taken.changed += change.before not in (None, change.after)
        taken.older += change.before is change.after


def _head(correction: Correction) -> dict[str, Any]:
    return {
        "content": correction.content,
        "label": correction.label,
        "time": correction.time.isoformat(),
        "who": correction.provenance.who,
        "how": correction.provenance.how,
        "channel": correction.provenance.channel,
    }


def _plain(one: Labelled) -> dict[str, Any]:
    return {
        **_head(Correction(one.content, one.label, one.provenance, one.time)),
        "kind": one.kind.value,
        "size": one.size,
        "extraction": one.extraction,
        "document": None if one.document is None else document_as_json(one.document),
        "raw": None if one.raw is None else base64.b64encode(one.raw).decode(),
    }


def _line(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes) -> tuple[Correction, Example | None]:
    """What a line says. Raises ValueError and what a wrong shape raises."""
    plain = json.loads(line)
    if not isinstance(plain, dict):
        raise ValueError("no JSON object")
    content = plain["content"]
    if not isinstance(content, str) or not _CONTENT.fullmatch(content):
        raise ValueError("content is no hash of 64 hexadecimal digits")
    time = datetime.fromisoformat(plain["time"])
    if time.tzinfo is None:
        raise ValueError("time has no zone")
    label = plain["label"]
    if label not in (None, "ham", "spam"):
        raise ValueError("label is not ham, spam or null")
    by = [plain[name] for name in ("who", "how", "channel")]
    if not all(isinstance(word, str) for word in by):
        raise ValueError("who, how and channel are texts")
    time = min(time, datetime.now(UTC))  # a clock that runs ahead must not win for ever
    correction = Correction(content, None if label is None else Label(label), Provenance(*by), time)
    return correction, None if label is None else _example(plain, content)


def _example(plain: Mapping[str, Any], content: str) -> Example:
    kind = Kind(plain["kind"])
    size = plain["size"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**31:
        raise ValueError("size is no number of bytes")
    raw = None
    if plain.get("raw") is not None:
        try:
            raw = base64.b64decode(plain["raw"], validate=True)
        except binascii.Error:
            raise ValueError("raw is not base64") from None
        if content_hash(raw, kind) != content:
            raise ValueError("raw is not the message that content names")
    if raw is not None:
        return Example(content, kind, extract(raw, kind), size, raw)
    if plain["extraction"] != EXTRACTION:
        raise ValueError(
            f"its document is of extraction {plain['extraction']}, this is {EXTRACTION}, and raw is missing"
        )
    return Example(content, kind, document_from_json(plain["document"]), size)
