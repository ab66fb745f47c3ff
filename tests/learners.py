"""What tests of learning share: a model that costs nothing, mails that are unlike, and what stands on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spamfilter.classifier.examined import Examined
from spamfilter.classifier.fingerprint import fingerprint
from spamfilter.classifier.memory import Memory, file_of
from spamfilter.correction import content_hash
from spamfilter.document import Document, extract, render
from spamfilter.message import Message
from spamfilter.store.database import store_url
from spamfilter.store.label_reader import LabelReader
from spamfilter.verdict import Failure, Label, Score

TEXT = "the quick brown fox jumps over the lazy dog and wins a prize of {} guineas every day of the week {}"


class Model:
    """A model whose state is a digest of the text, apart for each model."""

    def __init__(self, model_id: str = "m-1") -> None:
        self.model_id = model_id
        self.failure: Failure | None = None
        self.read: list[str] = []
        self.loads = 0

    def examine(self, message: Message) -> Examined | Failure:
        return self.failure or self.examine_document(extract(message.raw, message.kind))

    def examine_document(self, document: Document) -> Examined:
        if "RAISE" in document.subject:
            raise ValueError("as told")
        self.read.append(document.subject)
        head, tail = render(document)
        seed = sum(head.encode()) + sum(self.model_id.encode())
        pooled = np.random.default_rng(seed).standard_normal(8).astype(np.float16)
        found = Score(0.25, {"gpt": 0.25}, self.model_id)
        return Examined(found, document, head, tail, fingerprint(head, tail), pooled)


def mail(number: int = 0, *, subject: str = "") -> Message:
    text = TEXT.format("abcdefghij"[number % 10] * 3, f"word{chr(97 + number // 10 % 26)} " * 3 * (number + 1))
    return Message(f"Subject: {subject or f'number {number}'}\nFrom: a@example.com\n\n{text}\n".encode(), "cli")


def content(message: Message) -> str:
    return content_hash(message.raw, message.kind)


def memories(state: Path) -> list[Path]:
    """The memories' files, the one that was written last at the end."""
    return sorted(state.glob("memory-*.npz"), key=lambda path: path.stat().st_mtime_ns)


def remembered(state: Path, model_id: str | None = None) -> dict[str, Label]:
    """What a model's memory holds; without one, the memory that was written last."""
    path = memories(state)[-1] if model_id is None else file_of(state / "memory.npz", model_id)
    return {one.content: one.label for one in Memory.load(path).exemplars}


def kept(state: Path) -> dict[str, Label]:
    with LabelReader(store_url("", state)) as reader:
        return {one.content: one.label for one in reader.labelled()}
