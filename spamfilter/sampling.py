"""Keeps a share of the mail that passes as samples, for retraining and for drift, beside the mail's own road.

A message is answered first, as if nobody sampled. Then, where the engine has nothing else to do, a worker reads it
whole once more and a row goes to the store, which holds none of its text. Mail that comes in that moment finds another
worker, or waits some milliseconds as behind any message, once a minute at most. Whatever goes wrong stays here: it is
logged once, and costs a sample. What people label is sampled as all other mail is; nothing tells which it was.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from spamfilter.classifier.sampled import Sampled
from spamfilter.message import Message
from spamfilter.store.database import StoreError
from spamfilter.verdict import Failure, FailureKind, Score

EVERY_S = 60.0
"""Samples are at least so far apart: with the days that rows are kept it bounds the table on a busy host."""
REST_S = 3600.0
"""How long nothing is sampled after a message that cost a worker or its patience: mail is to have no second one soon.
It was scored before, so it is one made for this, or an accident."""

log = structlog.get_logger(__name__)


class Engine(Protocol):
    """What scores mail, and reads samples while it is idle: `engine.pool.EnginePool`."""

    async def score(self, message: Message) -> Score | Failure:
        """A score or a failure within the deadline."""

    async def sample(self, message: Message) -> Sampled | Failure:
        """A sample, or OVERLOAD at once where there is mail to read."""


class Store(Protocol):
    """Where samples go: `store.samples.SampleStore`. May block: it is called in a thread."""

    def open(self) -> None:
        """Raises StoreError."""

    def add(self, sample: Sampled) -> None:
        """Raises StoreError."""

    def close(self) -> None:
        """After the last `add`."""


class Sampler:
    """Implements `scanner.Engine` with another one's answers, and is a daemon's part.

    `share` (0-1) of the messages are candidates; 0 turns it off. Whoever made `engine` starts and stops that.
    """

    def __init__(
        self, engine: Engine, store: Store, *, share: float, every_s: float = EVERY_S, rest_s: float = REST_S
    ) -> None:
        self._engine, self._store = engine, store
        self._share, self._every_s, self._rest_s = share, every_s, rest_s
        self._work: asyncio.Task[None] | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "samples")
        self._serving = False
        self._not_before = 0.0
        self._trouble = ""
        self.kept = 0
        """Samples that were stored."""

    async def start(self) -> None:
        """Open the store. One that does not open is logged, and nothing is sampled."""
        if not self._share:
            return
        try:
            await self._apart(self._store.open)
        except StoreError as error:
            log.error("sampling.off", error=str(error))
        else:
            self._serving = True

    async def stop(self, grace_s: float) -> None:
        """Drop what is in work, and close the store behind a row that is being written."""
        was_serving, self._serving = self._serving, False
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None
        if was_serving:
            await self._apart(self._store.close)
        self._thread.shutdown(wait=False)

    async def score(self, message: Message) -> Score | Failure:
        """The engine's answer."""
        outcome = await self._engine.score(message)
        if self._serving and isinstance(outcome, Score) and self._is_due():
            self._work = asyncio.create_task(self._sample(message), name="sample")
        return outcome

    def _is_due(self) -> bool:
        if self._work is not None and not self._work.done():
            return False
        return time.monotonic() >= self._not_before and random.random() < self._share

    async def _sample(self, message: Message) -> None:
        try:
            found = await self._engine.sample(message)
            if isinstance(found, Sampled):
                self._not_before = time.monotonic() + self._every_s
                await self._apart(lambda: self._store.add(found))
                self.kept += 1
            elif found.kind is not FailureKind.OVERLOAD:
                self._not_before = time.monotonic() + self._rest_s
                self._say(f"{found.kind}: {found.detail}")
        except Exception as error:  # whatever it is, it costs a sample
            self._say(f"{type(error).__name__}: {error}")

    async def _apart(self, call: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _say(self, what: str) -> None:
        if what != self._trouble:
            self._trouble = what
            log.error("sampling.failed", error=what[:300], mail="goes on")
