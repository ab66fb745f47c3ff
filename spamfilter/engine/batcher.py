"""What waits for a worker: bounded by count and bytes, handed out greedily.

A free worker takes all that waits, up to a batch, and never waits for a batch to fill: at every load measured this
beat a timer. Messages that were with a worker when it died are suspects; each of them goes first and alone.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from spamfilter.classifier.examined import Examined
from spamfilter.engine.frames import Ask
from spamfilter.message import Message
from spamfilter.verdict import Failure, Score

MAX_BATCH_BYTES = 8 * 1024 * 1024


@dataclass(eq=False, slots=True)
class Pending:
    """A message whose caller waits for `outcome`. `deadline`: in the loop's time; `lost`: workers that died with it.

    `ask` says what he waits for.
    """

    message: Message
    outcome: asyncio.Future[Score | Examined | Failure]
    deadline: float
    lost: int = 0
    ask: Ask = Ask.SCORE

    def answer(self, outcome: Score | Examined | Failure) -> bool:
        """Tell the caller, unless he has gone or was told before."""
        if self.outcome.done():
            return False
        self.outcome.set_result(outcome)
        return True


class Batcher:
    """A queue in two lanes, suspects before newcomers. Not thread-safe: it belongs to the event loop."""

    def __init__(self, *, batch: int, max_messages: int, max_bytes: int) -> None:
        self._batch = batch
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._newcomers: OrderedDict[Pending, None] = OrderedDict()
        self._suspects: OrderedDict[Pending, None] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._newcomers) + len(self._suspects)

    def __contains__(self, pending: Pending) -> bool:
        return pending in self._newcomers or pending in self._suspects

    @property
    def bytes(self) -> int:
        """Bytes of all messages that wait."""
        return self._bytes

    @property
    def suspects(self) -> int:
        """How many wait to be tried alone."""
        return len(self._suspects)

    def offer(self, pending: Pending) -> bool:
        """Let a newcomer wait; False when there is no room. A message above the byte limit passes an empty queue."""
        size = len(pending.message.raw)
        if len(self) >= self._max_messages or (len(self) and self._bytes + size > self._max_bytes):
            return False
        self._newcomers[pending] = None
        self._bytes += size
        return True

    def put_back(self, pending: Pending) -> None:
        """Let a message be tried again, alone. It was admitted before, so no limit applies."""
        self._suspects[pending] = None
        self._bytes += len(pending.message.raw)

    def discard(self, pending: Pending) -> None:
        """Forget a message if it still waits: its caller has gone."""
        for lane in (self._suspects, self._newcomers):
            if pending in lane:
                del lane[pending]
                self._bytes -= len(pending.message.raw)

    def take(self) -> list[Pending]:
        """The next batch, in order of arrival: one suspect alone, or as many newcomers as a batch may hold."""
        if self._suspects:
            return [self._pop(self._suspects)]
        taken: list[Pending] = []
        size = 0
        while self._newcomers and len(taken) < self._batch:
            size += len(next(iter(self._newcomers)).message.raw)
            if taken and size > MAX_BATCH_BYTES:
                break
            taken.append(self._pop(self._newcomers))
        return taken

    def drain(self) -> list[Pending]:
        """Everything that waits; the queue is empty afterwards."""
        everything = [*self._suspects, *self._newcomers]
        self._suspects.clear()
        self._newcomers.clear()
        self._bytes = 0
        return everything

    def _pop(self, lane: OrderedDict[Pending, None]) -> Pending:
        pending, _ = lane.popitem(last=False)
        self._bytes -= len(pending.message.raw)
        return pending
