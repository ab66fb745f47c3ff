"""Mail that a console has decisions of: passed through its scanner, kept where it is looked for, and a way to teach."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spamfilter import config
from spamfilter.correction import Provenance, content_hash
from spamfilter.learning import Learned, Learning, label_store
from spamfilter.message import Envelope, Message
from spamfilter.operating_point import memory_path
from spamfilter.store.kept import FOLDER, KeptMail
from spamfilter.verdict import Decision, Disposition, Failure, Label, Score
from tests.console.fakes import ExplainingEngine
from tests.console.serving import Served
from tests.learners import Model

SPAM = b"From: Ann <ann@example.com>\nSubject: VIAGRA now\n\nbuy viagra today, %d pills\n"
HAM = b"From: Bob <bob@example.com>\nSubject: minutes\n\nthe minutes of meeting %d\n"


class Reading(ExplainingEngine):
    """An engine whose scores know their message's content, as the real one's do."""

    async def score(self, message: Message) -> Score | Failure:
        found = await super().score(message)
        return found if isinstance(found, Failure) else replace(found, content=content_hash(message.raw, message.kind))


async def decided(
    served: Served, raw: bytes, *, sender: str | None = "ann@example.com", to: Sequence[str] = ("me@here.example",),
    channel: str = "smtp", kept: bool = True, disposition: Disposition = Disposition.DELIVERED,
) -> Decision:  # fmt: skip
    """A decision in the log; the message is `kept` beside it."""
    message = Message(raw, channel, Envelope(sender, tuple(to)))
    decision = await served.scanner.scan(message)
    served.scanner.settle(decision, disposition, "250 2.0.0 Ok")
    assert await asyncio.to_thread(served.store.flush)
    if kept:
        await asyncio.to_thread(_keep, served.config.path(FOLDER), message)
    return decision


def _keep(folder: Path, message: Message) -> None:
    keeping = KeptMail(folder, days=7)
    keeping.open()
    keeping.keep(message)
    keeping.close()


class Teaching:
    """Learning over the real labels and memory, with a model that costs nothing."""

    def __init__(self, state_dir: Path) -> None:
        loaded = config.load(environ={}, state_dir=str(state_dir))
        self.store = label_store(loaded)
        self._learning = Learning(self.store, memory_path(loaded), Model().examine, "m-1")

    async def learn(self, message: Message, label: Label | None, provenance: Provenance) -> Learned | Failure:
        """As `Teacher.learn`."""
        return await asyncio.to_thread(self._learning.learn, message, label, provenance)

    async def undo(self, content: str, provenance: Provenance) -> Learned:
        """As `Teacher.undo`."""
        return await asyncio.to_thread(self._learning.undo, content, provenance)
