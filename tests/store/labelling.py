"""What tests of the labels share: mails, examples of them, readings, people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spamfilter.correction import Provenance, content_hash
from spamfilter.document import extract
from spamfilter.message import kind_of
from spamfilter.store.examples import Example, Reading
from spamfilter.store.labels import LabelStore
from spamfilter.store.seal import Sealer
from spamfilter.verdict import Label

HAM, SPAM = Label.HAM, Label.SPAM
ALICE, BOB = Provenance("alice", "command line"), Provenance("bob", "folder", "folder")
WORD = b"xylotomous"
Open = Callable[..., LabelStore]


def mail(subject: str = "win", body: bytes = b"call now") -> bytes:
    return f"From: a@example.com\nSubject: {subject}\nDate: now\n\n".encode() + body


def example(raw: bytes | None = None, reading: Reading | None = None) -> Example:
    raw = mail() if raw is None else raw
    kind = kind_of(raw)
    return Example(content_hash(raw, kind), kind, extract(raw, kind), len(raw), raw, reading)


def reading(model_id: str = "m-1") -> Reading:
    return Reading(model_id, 0.25, np.arange(64, dtype=np.uint32), np.linspace(-1, 1, 8).astype(np.float16))


def sealer(key: bytes = bytes(32)) -> Sealer:
    return Sealer(key)
