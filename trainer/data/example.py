"""What every reader of corpora yields: one message with its label, and where it stood."""

from __future__ import annotations

from dataclasses import dataclass

from spamfilter.message import Kind


@dataclass(frozen=True, slots=True)
class Example:
    """One message: `spam` is None where nobody labelled it, `path` names it within its source."""

    source: str
    path: str
    spam: bool | None
    raw: bytes
    kind: Kind
