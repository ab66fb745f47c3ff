"""The engine: messages go to worker processes in greedy batches and come back scored, failed or timed out.

The road is start -> score -> dispatch -> answer -> stop. Everything below is what happens when it goes wrong:

- A caller is answered at its deadline, whatever the worker does.
- A worker that takes too long is killed and replaced. Too long is a quarter of the deadline while others depend on it
  (its batch, other suspects), and until the message's deadline when it is alone.
- What a dead worker had not answered is tried once more, each message alone; what takes a second worker down fails.

Who the workers are, and who comes after them, is the `staff`'s affair.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import structlog

from spamfilter.classifier.examined import Examined, document_as_json
from spamfilter.classifier.explanation import SECONDS, Explanation
from spamfilter.classifier.sampled import Sampled
from spamfilter.config import MIB, EngineSettings
from spamfilter.document import Document
from spamfilter.engine.batcher import Batcher, Pending
from spamfilter.engine.frames import Ask, Outcome
from spamfilter.engine.process import DEFAULT_FACTORY, Launch, WorkerError, WorkerProcess
from spamfilter.engine.staff import Desk, Staff
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Score

log = structlog.get_logger(__name__)

DEFAULT_MEMORY_MIB = 2048


class EngineError(Exception):
    """The engine cannot start; says why, for people."""


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """One ready worker."""

    pid: int
    model_id: str
    rss_mib: float
    load_s: float
    answered: int
    holding: int


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What the engine has done and what waits. `failures` counts every failure that a caller was given, by kind.

    `asked_gpt` counts scores to which the GPT spoke, `known` those of texts that were at hand from a message before.
    """

    processed: int
    asked_gpt: int
    known: int
    failures: Mapping[FailureKind, int]
    restarts: int
    recycled: int
    queue_messages: int
    queue_bytes: int
    workers: tuple[WorkerStats, ...]


class EnginePool:
    """Implements `scanner.Engine` with `settings.workers` processes. Use `start` and `stop`, or `async with`."""

    def __init__(
        self,
        settings: EngineSettings,
        bundle: Path,
        *,
        factory: str = DEFAULT_FACTORY,
        options: Mapping[str, Any] | None = None,
        memory_limit_mib: int = DEFAULT_MEMORY_MIB,
        start_timeout_s: float = 60.0,
    ) -> None:
        """`factory` names a `module:function(bundle, **options) -> Classifier`.

        `memory_limit_mib` bounds a worker's own data.
        """
        self._settings = settings
        launch = Launch(
            bundle=bundle,
            factory=factory,
            options=options or {},
            memory_mib=memory_limit_mib,
            start_timeout_s=start_timeout_s,
        )
        desk = Desk(self._answered, self._free, self._excused, self._lost, self._deserted)
        self._staff = Staff(launch, settings.workers, settings.recycle_after, settings.deadline_s, desk)
        self._patience_s = settings.deadline_s / 4
        self._queue = Batcher(
            batch=settings.batch, max_messages=settings.queue_messages, max_bytes=settings.queue_mib * MIB
        )
        self._idle: list[WorkerProcess] = []
        self._limits: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._open: set[Pending] = set()
        self._settled = asyncio.Event()  # nobody waits for an answer
        self._settled.set()
        self._accepting = False
        self._processed = 0
        self._asked_gpt = 0
        self._known = 0
        self._failures: Counter[FailureKind] = Counter()

    async def start(self) -> None:
        """Start all workers and wait until they are ready. Raises EngineError; leaves nothing behind."""
        try:
            await self._staff.start()
        except WorkerError as error:
            raise EngineError(f"the engine cannot start with {self._staff.launch.bundle}: {error}") from None
        self._accepting = True

    async def replace(self, bundle: Path, options: Mapping[str, Any] | None = None) -> None:
        """Serve with another bundle; returns when the last worker of the old one has answered what it held.

        Before `start`, it only sets what that starts with. Raises EngineError when the new bundle does not come up
        everywhere: the old one serves on. A later call waits for an earlier one.
        """
        try:
            await self._staff.replace(replace(self._staff.launch, bundle=bundle, options=options or {}))
        except (WorkerError, TimeoutError) as error:
            raise EngineError(f"the engine cannot start with {bundle}: {str(error) or 'see the log'}") from None

    async def score(self, message: Message) -> Score | Failure:
        """A score or a failure, at the latest `deadline_s` from now. Never raises, except CancelledError."""
        return self._count(cast(Score | Failure, await self._answer(message)))

    async def examine(self, message: Message) -> Examined | Failure:
        """All that learning needs of a message, or a failure; as `score`, but not counted: nobody waits for mail."""
        return cast(Examined | Failure, await self._answer(message, Ask.EXAMINE))

    async def examine_document(self, document: Document) -> Examined | Failure:
        """The same of a document that was kept, by the model in service."""
        raw = json.dumps(document_as_json(document)).encode("ascii")
        return cast(Examined | Failure, await self._answer(Message(raw, "learn", kind=document.kind), Ask.DOCUMENT))

    async def sample(self, message: Message) -> Sampled | Failure:
        """What is kept of a message that nobody labelled, where the engine has nothing else to do; else OVERLOAD.

        Mail comes first: it is tried once, and not for longer than a message that others wait behind.
        """
        if self._open or not self._idle:
            return Failure(FailureKind.OVERLOAD, "the engine has mail to read")
        return cast(Sampled | Failure, await self._answer(message, Ask.SAMPLE))

    async def explain(self, message: Message, seconds: float = SECONDS) -> Explanation | Failure:
        """Why a message gets its score, or a failure; as `examine`. A worker takes `seconds` for it, or half of what
        it may take for anything where that is less.

        Mail comes first: only a worker that has nothing else to do explains, only one at a time, and each message is
        tried once. With a single worker, mail that arrives meanwhile waits until it is done.
        """
        seconds = min(seconds, self._patience_s / 2)
        return cast(Explanation | Failure, await self._answer(message, Ask.EXPLAIN, seconds))

    async def _answer(self, message: Message, ask: Ask = Ask.SCORE, seconds: float = 0.0) -> Outcome:
        if not self._accepting or self._staff.is_hopeless:
            return Failure(FailureKind.ENGINE_DOWN, self._why_down())
        loop = asyncio.get_running_loop()
        once = ask in (Ask.SAMPLE, Ask.EXPLAIN)
        deadline = loop.time() + (self._patience_s if ask is Ask.SAMPLE else self._settings.deadline_s)
        pending = Pending(message, loop.create_future(), deadline, lost=int(once), ask=ask, seconds=seconds)
        if not self._queue.offer(pending):
            return Failure(FailureKind.OVERLOAD, f"{len(self._queue)} messages wait for a worker")
        self._open.add(pending)
        self._settled.clear()
        alarm = loop.call_at(pending.deadline, self._expire, pending)
        self._dispatch()
        try:
            return await pending.outcome
        finally:
            alarm.cancel()
            self._queue.discard(pending)
            self._open.discard(pending)
            if not self._open:
                self._settled.set()

    def _dispatch(self) -> None:
        """Give what waits to whoever is free."""
        while self._idle and (batch := self._queue.take(explain=not self._explains())):
            worker = self._idle.pop()
            loop = asyncio.get_running_loop()
            limit = loop.time() + self._patience_s
            if len(batch) == 1 and not self._queue.suspects and batch[0].ask is not Ask.EXPLAIN:
                limit = max(limit, batch[0].deadline)
            self._limits[worker] = loop.call_at(limit, self._staff.end_hung, worker)
            worker.send(batch)

    def _explains(self) -> bool:
        """Whether a worker is at an explanation."""
        return any(held.ask is Ask.EXPLAIN for worker in self._staff.working for held in worker.holding.values())

    async def stop(self, grace_s: float = 10.0) -> None:
        """Take nothing new, answer what was accepted within `grace_s`, fail the rest, end every worker. Idempotent."""
        self._accepting = False
        try:
            async with asyncio.timeout(grace_s):
                await self._settled.wait()
        except TimeoutError:
            log.warning("engine.stopped_with_work_left", messages=len(self._open))
        for pending in [*self._open]:
            pending.answer(Failure(FailureKind.ENGINE_DOWN, "the engine was stopped"))
        self._queue.drain()
        await self._staff.end()

    @property
    def stats(self) -> EngineStats:
        """A snapshot for metrics and for people."""
        workers = tuple(
            WorkerStats(w.pid, w.model_id, w.rss_mib, w.load_s, w.answered, len(w.holding)) for w in self._staff.working
        )
        return EngineStats(
            processed=self._processed,
            asked_gpt=self._asked_gpt,
            known=self._known,
            failures=dict(self._failures),
            restarts=self._staff.restarts,
            recycled=self._staff.recycled,
            queue_messages=len(self._queue),
            queue_bytes=self._queue.bytes,
            workers=workers,
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _expire(self, pending: Pending) -> None:
        """The deadline is here: the caller is answered now, whatever the worker does."""
        where = "in the queue" if pending in self._queue else "in a worker"
        pending.answer(Failure(FailureKind.TIMEOUT, f"no verdict within {self._settings.deadline_s:g} s ({where})"))
        self._queue.discard(pending)

    # What the staff tells

    def _answered(self, worker: WorkerProcess, pending: Pending, outcome: Outcome) -> None:
        """A worker has answered one message; with the last of its batch it is free."""
        self._staff.gives_answers()
        pending.answer(outcome)
        if not worker.holding:
            self._lift_limit(worker)
            self._staff.done(worker)

    def _free(self, worker: WorkerProcess) -> None:
        """A worker has nothing to do."""
        self._idle.append(worker)
        self._dispatch()

    def _excused(self, worker: WorkerProcess) -> None:
        """A worker is to get no more work; a dismissed one need not finish what it holds."""
        if worker in self._idle:
            self._idle.remove(worker)
        if worker.dismissed:
            self._lift_limit(worker)

    def _lost(self, worker: WorkerProcess) -> None:
        """A worker has died; what it had not answered is tried again, or fails for good."""
        self._lift_limit(worker)
        for pending in worker.holding.values():
            pending.lost += 1
            if pending.outcome.done():
                continue
            if pending.lost > 1:
                pending.answer(self._fatal(worker))
            else:
                self._queue.put_back(pending)
        worker.holding.clear()
        self._dispatch()

    def _deserted(self) -> None:
        """Nobody is left who could answer."""
        for pending in self._queue.drain():
            pending.answer(Failure(FailureKind.ENGINE_DOWN, self._why_down()))

    def _fatal(self, worker: WorkerProcess) -> Failure:
        if worker.hung:
            return Failure(FailureKind.TIMEOUT, "hung two workers")
        if self._staff.dies_in_vain:
            return Failure(FailureKind.ENGINE_DOWN, f"workers keep dying ({worker.ending()})")
        return Failure(FailureKind.UNPARSABLE, f"crashed two workers ({worker.ending()})")

    def _lift_limit(self, worker: WorkerProcess) -> None:
        if limit := self._limits.pop(worker, None):
            limit.cancel()

    def _why_down(self) -> str:
        return "no worker becomes ready; see the log" if self._accepting else "the engine is not running"

    def _count(self, outcome: Score | Failure) -> Score | Failure:
        self._processed += 1
        if isinstance(outcome, Failure):
            self._failures[outcome.kind] += 1
        else:
            self._asked_gpt += "gpt" in outcome.stages and not outcome.known
            self._known += outcome.known
        return outcome
