"""The engine: messages go to worker processes in greedy batches and come back scored, failed or timed out.

The road is start -> score -> dispatch -> answer -> stop. Everything below `stop` is what happens when it goes wrong:

- A caller is answered at its deadline, whatever the worker does.
- A worker that takes too long is killed and replaced. Too long is a quarter of the deadline while others depend on it
  (its batch, other suspects), and until the message's deadline when it is alone.
- What a dead worker had not answered is tried once more, each message alone; what takes a second worker down fails.
- Workers that die one after the other without an answer in between are the engine's fault, not the messages'.
- Another bundle takes over place by place, each when its worker is ready; the old one's finish what they hold.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import structlog

from spamfilter.classifier.examined import Examined, document_as_json
from spamfilter.config import MIB, EngineSettings
from spamfilter.document import Document
from spamfilter.engine.batcher import Batcher, Pending
from spamfilter.engine.frames import Ask
from spamfilter.engine.process import DEFAULT_FACTORY, Launch, WorkerError, WorkerProcess
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Score

log = structlog.get_logger(__name__)

DEFAULT_MEMORY_MIB = 2048
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.1, 10.0
_STARTS_FAILED = 2  # this many in a row, and nobody is asked to wait for the next
_STARTS_A_PLACE = 2  # so long a place may take to change to another bundle, beside what its worker holds
_BARREN_DEATHS = 6  # this many in a row without an answer: three messages, two workers each


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
        self._launch = Launch(
            bundle=bundle,
            factory=factory,
            options=options or {},
            memory_mib=memory_limit_mib,
            start_timeout_s=start_timeout_s,
        )
        self._patience_s = settings.deadline_s / 4
        self._queue = Batcher(
            batch=settings.batch, max_messages=settings.queue_messages, max_bytes=settings.queue_mib * MIB
        )
        self._processes: dict[WorkerProcess, Launch] = {}  # every one that became ready and has not ended
        self._workers: set[WorkerProcess] = set()  # those of them in service
        self._idle: list[WorkerProcess] = []
        self._limits: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._staffing: list[asyncio.Task[None]] = []
        self._spare: WorkerProcess | None = None  # ready, for the next place that wants one
        self._replacing = asyncio.Lock()
        self._open: set[Pending] = set()
        self._settled = asyncio.Event()  # nobody waits for an answer
        self._settled.set()
        self._accepting = False
        self._starts_failed = 0
        self._barren_deaths = 0
        self._processed = 0
        self._asked_gpt = 0
        self._known = 0
        self._failures: Counter[FailureKind] = Counter()
        self._restarts = 0
        self._recycled = 0

    async def start(self) -> None:
        """Start all workers and wait until they are ready. Raises EngineError; leaves nothing behind."""
        first = [asyncio.create_task(self._hire(self._launch)) for _ in range(self._settings.workers)]
        try:
            await asyncio.gather(*first)
        except BaseException as error:
            await self._disband(first)
            if isinstance(error, WorkerError):
                raise EngineError(f"the engine cannot start with {self._launch.bundle}: {error}") from None
            raise
        self._accepting = True
        for hired in first:
            self._employ(hired.result())
            self._staffing.append(asyncio.create_task(self._keep_staffed(hired.result())))

    async def replace(self, bundle: Path, options: Mapping[str, Any] | None = None) -> None:
        """Serve with another bundle; returns when the last worker of the old one has answered what it held.

        Before `start`, it only sets what that starts with. Raises EngineError when the new bundle does not come up
        everywhere: the old one serves on. A later call waits for an earlier one.
        """
        async with self._replacing:
            before, launch = self._launch, replace(self._launch, bundle=bundle, options=options or {})
            if not self._staffing:
                self._launch = launch
                return
            try:
                ready = await self._hire(launch)  # the proof: nothing has changed until then
                self._drop_spare()
                self._spare = ready
                self._launch, self._starts_failed = launch, 0
                await self._move_over(launch)
            except (WorkerError, TimeoutError) as error:
                self._launch = before
                self._send_away(launch)
                raise EngineError(f"the engine cannot start with {bundle}: {str(error) or 'see the log'}") from None
            finally:
                if not self._accepting or len(self._workers) >= self._settings.workers:
                    self._drop_spare()  # else a place waits to try again, and takes it then

    async def _move_over(self, launch: Launch) -> None:
        """Replace what serves with something else, one place after the other. Raises TimeoutError."""
        patience_s = _STARTS_A_PLACE * launch.start_timeout_s + self._settings.deadline_s
        while others := [worker for worker, of in self._processes.items() if of is not launch]:
            others[0].leaving.set()
            async with asyncio.timeout(patience_s):
                await others[0].gone.wait()

    def _send_away(self, launch: Launch) -> None:
        """Have every place that works with `launch` go back to what the engine is to serve with now."""
        self._drop_spare()
        for worker, of in self._processes.items():
            if of is launch:
                worker.leaving.set()

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._dismiss(self._spare)
            self._spare = None

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

    async def _answer(self, message: Message, ask: Ask = Ask.SCORE) -> Score | Examined | Failure:
        if not self._accepting or self._is_down():
            return Failure(FailureKind.ENGINE_DOWN, self._why_down())
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.deadline_s
        pending = Pending(message, loop.create_future(), deadline, ask=ask)
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
        while self._idle and len(self._queue):
            worker = self._idle.pop()
            batch = self._queue.take()
            loop = asyncio.get_running_loop()
            limit = loop.time() + self._patience_s
            if len(batch) == 1 and not self._queue.suspects:
                limit = max(limit, batch[0].deadline)
            self._limits[worker] = loop.call_at(limit, self._overdue, worker)
            worker.send(batch)

    def _answered(self, worker: WorkerProcess, pending: Pending, outcome: Score | Examined | Failure) -> None:
        """A worker has answered one message; with the last of its batch it is free."""
        self._barren_deaths = 0
        pending.answer(outcome)
        if not worker.holding:
            self._lift_limit(worker)
            if worker.answered >= self._settings.recycle_after:
                worker.leaving.set()
            self._release(worker)

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
        await self._disband(self._staffing)
        self._staffing.clear()

    @property
    def stats(self) -> EngineStats:
        """A snapshot for metrics and for people."""
        workers = tuple(
            WorkerStats(w.pid, w.model_id, w.rss_mib, w.load_s, w.answered, len(w.holding)) for w in self._workers
        )
        return EngineStats(
            processed=self._processed,
            asked_gpt=self._asked_gpt,
            known=self._known,
            failures=dict(self._failures),
            restarts=self._restarts,
            recycled=self._recycled,
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

    def _overdue(self, worker: WorkerProcess) -> None:
        """A worker has held its batch for too long: it hangs."""
        log.warning("engine.worker_hangs", pid=worker.pid, holding=len(worker.holding))
        worker.hung = True
        self._suspend(worker)
        worker.kill()

    def _gone(self, worker: WorkerProcess) -> None:
        """A worker has ended; what it had not answered is tried again, or fails for good."""
        if self._processes.pop(worker, None) is None or worker.dismissed:
            return
        self._suspend(worker)
        self._lift_limit(worker)
        self._barren_deaths += 1
        log.warning(
            "engine.worker_gone",
            pid=worker.pid,
            how=worker.ending(),
            holding=len(worker.holding),
            report=worker.crash_report(),
        )
        for pending in worker.holding.values():
            pending.lost += 1
            if pending.outcome.done():
                continue
            if pending.lost > 1:
                pending.answer(self._fatal(worker))
            else:
                self._queue.put_back(pending)
        worker.holding.clear()
        self._give_up_if_down()
        self._dispatch()

    def _fatal(self, worker: WorkerProcess) -> Failure:
        if worker.hung:
            return Failure(FailureKind.TIMEOUT, "hung two workers")
        if self._barren_deaths >= _BARREN_DEATHS:
            return Failure(FailureKind.ENGINE_DOWN, f"workers keep dying ({worker.ending()})")
        return Failure(FailureKind.UNPARSABLE, f"crashed two workers ({worker.ending()})")

    async def _keep_staffed(self, worker: WorkerProcess) -> None:
        """Hold one place: when its worker dies, or is worn out, hire another and let it take over."""
        while True:
            await worker.leaving.wait()
            successor = await self._hire_until_ready()
            if worker.gone.is_set():
                self._restarts += 1
            else:
                self._recycled += 1
                worker.retiring = True
                self._suspend(worker)
                if not worker.holding:
                    self._dismiss(worker)
            self._employ(successor)
            worker = successor
            if self._processes.get(worker, self._launch) is not self._launch:
                worker.leaving.set()  # hired just before another bundle took over

    async def _hire_until_ready(self) -> WorkerProcess:
        while True:
            await asyncio.sleep(self._delay_s())
            spare, self._spare = self._spare, None
            if spare is not None and not spare.gone.is_set():
                return spare
            try:
                worker = await self._hire(self._launch)
            except Exception as error:  # whatever the reason, the place must be filled
                self._starts_failed += 1
                why = str(error) if isinstance(error, WorkerError) else repr(error)
                log.error("engine.worker_not_ready", failed_in_a_row=self._starts_failed, error=why)
                self._give_up_if_down()
            else:
                self._starts_failed = 0
                return worker

    async def _hire(self, launch: Launch) -> WorkerProcess:
        worker = await WorkerProcess.start(launch, self._answered, self._gone)
        if worker.gone.is_set():
            raise WorkerError(f"{worker.ending()} as soon as it was ready")
        self._processes[worker] = launch
        log.info(
            "engine.worker_ready",
            pid=worker.pid,
            model=worker.model_id,
            load_s=round(worker.load_s, 2),
            rss_mib=round(worker.rss_mib),
        )
        return worker

    def _employ(self, worker: WorkerProcess) -> None:
        """Take a fresh worker into service."""
        if worker.gone.is_set():  # just died; `_keep_staffed` will notice
            return
        self._workers.add(worker)
        self._release(worker)

    def _release(self, worker: WorkerProcess) -> None:
        """The worker has nothing to do."""
        if worker.retiring:
            self._dismiss(worker)
        elif worker in self._workers:
            self._idle.append(worker)
            self._dispatch()

    def _suspend(self, worker: WorkerProcess) -> None:
        """Give the worker no more work."""
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)

    def _lift_limit(self, worker: WorkerProcess) -> None:
        if limit := self._limits.pop(worker, None):
            limit.cancel()

    def _dismiss(self, worker: WorkerProcess) -> None:
        """End a worker that is not needed any more."""
        worker.dismissed = True
        self._suspend(worker)
        self._lift_limit(worker)
        worker.kill()

    async def _disband(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel the tasks that hire, then end every process."""
        for task in tasks:
            if not task.cancelling():  # a second cancellation would cut short how it ends its process
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        leaving = [*self._processes]
        for worker in leaving:
            self._dismiss(worker)
        await asyncio.gather(*(worker.gone.wait() for worker in leaving))

    def _delay_s(self) -> float:
        """Seconds before the next start: none after a single crash, doubling when it becomes a habit."""
        habit = self._starts_failed or self._barren_deaths - _BARREN_DEATHS + 1
        return min(_FIRST_DELAY_S * 2.0 ** min(habit - 1, 16), _LONGEST_DELAY_S) if habit > 0 else 0.0

    def _is_down(self) -> bool:
        """No worker, and no reason to expect one soon."""
        hopeless = self._starts_failed >= _STARTS_FAILED or self._barren_deaths >= _BARREN_DEATHS
        return hopeless and not self._workers

    def _why_down(self) -> str:
        return "no worker becomes ready; see the log" if self._accepting else "the engine is not running"

    def _give_up_if_down(self) -> None:
        if self._is_down():
            for pending in self._queue.drain():
                pending.answer(Failure(FailureKind.ENGINE_DOWN, self._why_down()))

    def _count(self, outcome: Score | Failure) -> Score | Failure:
        self._processed += 1
        if isinstance(outcome, Failure):
            self._failures[outcome.kind] += 1
        else:
            self._asked_gpt += "gpt" in outcome.stages and not outcome.known
            self._known += outcome.known
        return outcome
