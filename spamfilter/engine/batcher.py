"""What waits for a worker: bounded by count and bytes, handed out greedily.

A free worker takes all that waits, up to a batch, and never waits for a batch to fill: at every load measured this
beat a timer. Messages that were with a worker when it died are suspects; each of them goes first and alone. What is to
be explained goes last and alone: no mail waits behind it that was there before.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from spamfilter.engine.frames import Ask, Outcome
from spamfilter.message import Message

MAX_BATCH_BYTES = 8 * 1024 * 1024
MOST_EXPLANATIONS = 16
"""So many may wait, and no more than MAX_BATCH_BYTES of them: each takes a worker for a second."""


@dataclass(eq=False, slots=True)
class Pending:
    """A message whose caller waits for `outcome`. `deadline`: in the loop's time; `lost`: workers that died with it.

    `ask` says what he waits for, `seconds` what an explanation may take.
    """

    message: Message
    outcome: asyncio.Future[Outcome]
    deadline: float
    lost: int = 0
    ask: Ask = Ask.SCORE
    seconds: float = 0.0

    def answer(self, outcome: Outcome) -> bool:
        """Tell the caller, unless he has gone or was told before."""
        if self.outcome.done():
            return False
        self.outcome.set_result(outcome)
        return True


class Batcher:
    """A queue in three lanes: suspects, newcomers, what is to be explained. Not thread-safe: it belongs to the event
    loop."""

    def __init__(self, *, batch: int, max_messages: int, max_bytes: int) -> None:
        self._batch = batch
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._newcomers: OrderedDict[Pending, None] = OrderedDict()
        self._suspects: OrderedDict[Pending, None] = OrderedDict()
        self._unexplained: OrderedDict[Pending, None] = OrderedDict()
        self._lanes = (self._suspects, self._newcomers, self._unexplained)
        self._bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def __contains__(self, pending: Pending) -> bool:
        return any(pending in lane for lane in self._lanes)

    @property
    def bytes(self) -> int:
        """Bytes of all mail that waits."""
        return self._bytes

    @property
    def suspects(self) -> int:
        """How many wait to be tried alone."""
        return len(self._suspects)

    def offer(self, pending: Pending) -> bool:
        """Let a newcomer wait; False when there is no room. A message above the byte limit passes an empty queue.

        What is to be explained takes no room from mail.
        """
        size = len(pending.message.raw)
        if pending.ask is Ask.EXPLAIN:
            waiting = sum(len(one.message.raw) for one in self._unexplained)
            if len(self._unexplained) >= MOST_EXPLANATIONS or (waiting and waiting + size > MAX_BATCH_BYTES):
                return False
            self._unexplained[pending] = None
            return True
        mail = len(self._suspects) + len(self._newcomers)
        if mail >= self._max_messages or (mail and self._bytes + size > self._max_bytes):
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
        for lane in self._lanes:
            if pending in lane:
                self._remove(lane, pending)

    def take(self, *, explain: bool = True) -> list[Pending]:
        """The next batch, in order of arrival: one suspect alone, or as many newcomers as a batch may hold, or else,
        with `explain`, one message that is to be explained. [] where none of these waits."""
        if self._suspects:
            return [self._pop(self._suspects)]
        if not self._newcomers and self._unexplained and explain:
            return [self._pop(self._unexplained)]
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
        everything = [pending for lane in self._lanes for pending in lane]
        for lane in self._lanes:
            lane.clear()
        self._bytes = 0
        return everything

    def _pop(self, lane: OrderedDict[Pending, None]) -> Pending:
        pending = next(iter(lane))
        self._remove(lane, pending)
        return pending

    def _remove(self, lane: OrderedDict[Pending, None], pending: Pending) -> None:
        del lane[pending]
        if lane is not self._unexplained:
            self._bytes -= len(pending.message.raw)
