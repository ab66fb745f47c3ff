"""What is kept of a labelled message, as values, as bytes in the database and as plain data for export.

The document is kept and not only the bytes: a retrain reads it as the model did when it was labelled, and a host that
keeps no raw mail can still learn. Its extraction version stands beside it, since a document of another version must
not train (or be remembered by) this one's model.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from spamfilter.classifier.examined import document_as_json, document_from_json
from spamfilter.classifier.fingerprint import VERSION as FINGERPRINT
from spamfilter.correction import Provenance
from spamfilter.document import Document
from spamfilter.message import Kind
from spamfilter.verdict import Label

_MOST_DOCUMENT_BYTES = 4 * 1024 * 1024
"""A document is bounded to some 20,000 characters; what unpacks to more is none."""
_VERSION = struct.Struct("<I")


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one model made of an example: its whole probability, and by what its memory knows it again.

    `fingerprint` is (64,) uint32, `pooled` (C,) float16.
    """

    model_id: str
    probability: float
    fingerprint: npt.NDArray[np.uint32]
    pooled: npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A message on its way into the store. `size` is in bytes; `reading` is None where no model has read it."""

    content: str
    kind: Kind
    document: Document
    size: int
    raw: bytes | None = None
    reading: Reading | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """An example as it is kept, with the label that stands, who gave it and when.

    `document` is None where another version of the extraction (`extraction`) made it and the bytes were not kept.
    """

    content: str
    label: Label
    provenance: Provenance
    time: datetime
    kind: Kind
    size: int
    extraction: str
    document: Document | None
    raw: bytes | None
    reading: Reading | None


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """What a memory needs of an example; `reading` is None where no model has read it yet.

    `readable`: its document is of this extraction, or can be made.
    """

    content: str
    label: Label
    time: datetime
    reading: Reading | None
    readable: bool


def pack_document(document: Document) -> bytes:
    """A document as zlib-compressed JSON, its facts included."""
    return zlib.compress(json.dumps(document_as_json(document), separators=(",", ":")).encode())


def unpack_document(packed: bytes) -> Document:
    """The document in `packed`. Raises ValueError."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, _MOST_DOCUMENT_BYTES)
        if not unpacker.eof:
            raise ValueError("a document that does not end")
        return document_from_json(json.loads(text))
    except zlib.error as error:
        raise ValueError(f"not a document: {error}") from None


def reading_columns(reading: Reading | None) -> dict[str, Any]:
    """A reading as columns of the table."""
    if reading is None:
        return {"model_id": None, "probability": None, "fingerprint": None, "pooled": None}
    return {
        "model_id": storable(reading.model_id, 128),
        "probability": float(reading.probability),
        "fingerprint": _VERSION.pack(FINGERPRINT) + np.ascontiguousarray(reading.fingerprint, "<u4").tobytes(),
        "pooled": np.ascontiguousarray(reading.pooled, "<f2").tobytes(),
    }


def reading_of(row: Mapping[Any, Any]) -> Reading | None:
    """The reading in a row of the table, or None where there is none that counts today."""
    if row["model_id"] is None or row["fingerprint"] is None or row["pooled"] is None:
        return None
    packed = bytes(row["fingerprint"])
    if packed[: _VERSION.size] != _VERSION.pack(FINGERPRINT):
        return None  # it cannot be compared with those of today
    return Reading(
        row["model_id"],
        row["probability"],
        np.frombuffer(packed, "<u4", offset=_VERSION.size).astype(np.uint32),
        np.frombuffer(row["pooled"], "<f2").astype(np.float16),
    )


def storable(text: str, limit: int = 200) -> str:
    """Text that every database takes: no lone surrogates, no NUL, at most `limit` characters."""
    return text[:limit].encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")[:limit]
