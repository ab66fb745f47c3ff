"""Our own filter as a contestant: in process, and through the engine's pool of workers, the cascade on or off."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spamfilter import classifier, config
from spamfilter.classifier.bundle import default_bundle, open_bundle
from spamfilter.engine.pool import EnginePool
from spamfilter.message import Message
from spamfilter.operating_point import resolve_policy, serving_options
from spamfilter.policy import Policy, decide
from spamfilter.verdict import Failure
from tests.bench.mails import Mail
from tests.bench.race import pinned


def switch(cascade: bool) -> str:
    """How a row says it."""
    return "on" if cascade else "off"


def settings(cascade: bool, workers: int = 1) -> tuple[config.EngineSettings, Policy, dict[str, Any]]:
    """The engine's settings, the policy, and the options that the bundle is loaded with: the defaults, but that no text
    is remembered, since the same mails come again and again."""
    chosen = config.load(environ={}, engine__workers=workers, engine__cascade=cascade, engine__campaigns=0)
    policy = resolve_policy(chosen.policy, open_bundle(default_bundle()))
    return chosen.engine, policy, serving_options(chosen, policy)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one scan said about itself: bytes of the mail, whether the GPT was asked, milliseconds by step."""

    size: int
    escalated: bool
    timings: Mapping[str, float]


class InProcess:
    """`classifier.load` and the policy, one mail at a time: bytes in, verdict out."""

    def __init__(self, cascade: bool) -> None:
        self.name = f"ours, cascade {switch(cascade)}, in process"
        self.how = f"classifier.load, policy.decide; engine.cascade: {switch(cascade)}; one at a time"
        self.seen: list[Seen] = []
        self._cascade = cascade

    def start(self) -> None:
        """Load the bundle that ships."""
        _, self._policy, options = settings(self._cascade)
        self._model = classifier.load(default_bundle(), **options)

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """Scan, and keep what the scores say about their steps."""
        took = []
        for mail in mails:
            started = time.perf_counter()
            message = Message(mail.raw, "bench")
            [outcome] = self._model.score([message])
            decide(message.id, outcome, self._policy)
            took.append(1e3 * (time.perf_counter() - started))
            if isinstance(outcome, Failure):
                raise RuntimeError(f"{mail.path}: {outcome}")
            self.seen.append(Seen(len(mail.raw), "gpt" in outcome.stages, outcome.timings))
        return took

    def pids(self) -> list[int]:
        """None but this one."""
        return []

    def stop(self) -> None:
        """Nothing was started."""


class Pool:
    """An EnginePool on an event loop that stands still between rounds; shared by contestants that load it differently.

    One worker runs on the bench's own core, and the loop with it. Several get a core each, and the loop all of them.
    """

    def __init__(self, workers: int, cascade: bool, cores: Sequence[int]) -> None:
        self.workers, self.cascade = workers, cascade
        self.cores = list(cores[:workers])
        self._runner: asyncio.Runner | None = None

    def start(self) -> None:
        """Start the workers, unless they run."""
        if self._runner is not None:
            return
        engine, _, options = settings(self.cascade, self.workers)
        self._pool = EnginePool(engine, default_bundle(), options=options)
        self._runner = asyncio.Runner()
        with pinned(set(self.cores)):
            self._runner.run(self._pool.start())
        for core, pid in zip(self.cores, self.pids(), strict=True):
            os.sched_setaffinity(pid, {core})

    def pids(self) -> list[int]:
        """The workers'."""
        return [worker.pid for worker in self._pool.stats.workers]

    def scan(self, mails: Sequence[Mail], waiting: int) -> list[float]:
        """Score all with so many callers at once; milliseconds include the wait for a worker."""
        assert self._runner is not None
        with pinned(set(self.cores)):
            return self._runner.run(self._crowd(iter(mails), waiting))

    async def _crowd(self, mails: Iterator[Mail], waiting: int) -> list[float]:
        took: list[float] = []

        async def caller() -> None:
            for mail in mails:
                started = time.perf_counter()
                outcome = await self._pool.score(Message(mail.raw, "bench"))
                took.append(1e3 * (time.perf_counter() - started))
                if isinstance(outcome, Failure):
                    raise RuntimeError(f"the engine failed: {outcome}")

        await asyncio.gather(*(caller() for _ in range(waiting)))
        return took

    def stop(self) -> None:
        """End the workers; a second call does nothing."""
        if self._runner is not None:
            self._runner.run(self._pool.stop())
            self._runner.close()
            self._runner = None


class ThroughPool:
    """A pool under one kind of load: `waiting` callers at once."""

    def __init__(self, pool: Pool, waiting: int) -> None:
        count = f"{pool.workers} worker{'s' if pool.workers > 1 else ''}"
        load = "one at a time" if waiting == 1 else f"{waiting} waiting"
        self.name = f"ours, cascade {switch(pool.cascade)}, {count}, {load}"
        where = f"worker{'s' if pool.workers > 1 else ''} on core {', '.join(map(str, pool.cores))}, loop on the same"
        self.how = f"EnginePool, {where}"
        self._pool, self._waiting = pool, waiting

    def start(self) -> None:
        """Start the pool, unless another contestant has."""
        self._pool.start()

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """As the load says."""
        return self._pool.scan(mails, self._waiting)

    def pids(self) -> list[int]:
        """The workers'."""
        return self._pool.pids()

    def stop(self) -> None:
        """End the pool for all who share it."""
        self._pool.stop()
