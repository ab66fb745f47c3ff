"""The engine's workers: each place is hired for, kept filled, and moved over to another bundle, one after the other.

A worker that died or is worn out is replaced when its successor is ready; until then the place is empty, or the old one
works on. Workers that die one after the other without an answer in between are the engine's fault, not the messages'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from spamfilter.engine.batcher import Pending
from spamfilter.engine.frames import Outcome
from spamfilter.engine.process import Launch, WorkerError, WorkerProcess

log = structlog.get_logger(__name__)

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.1, 10.0
_STARTS_FAILED = 2  # this many in a row, and nobody is asked to wait for the next
_STARTS_A_PLACE = 2  # so long a place may take to change to another bundle, beside what its worker holds
_BARREN_DEATHS = 6  # this many in a row without an answer: three messages, two workers each


@dataclass(frozen=True, slots=True)
class Desk:
    """Who gives the workers what they do. Each is called on the event loop, and must not raise."""

    answered: Callable[[WorkerProcess, Pending, Outcome], None]
    """A worker has answered one message of what it held."""
    free: Callable[[WorkerProcess], None]
    """A worker in service has nothing to do."""
    excused: Callable[[WorkerProcess], None]
    """A worker is to get no more work; what it holds it finishes, unless it was dismissed."""
    lost: Callable[[WorkerProcess], None]
    """A worker has died; what it holds is not answered."""
    deserted: Callable[[], None]
    """No worker is left, and there is no reason to expect one soon."""


class Staff:
    """Keeps `places` filled with workers started by `launch`. Use `start` and `end`; afterwards it may start again.

    `holds_s` is the longest that a worker may take for what it holds.
    """

    def __init__(self, launch: Launch, places: int, recycle_after: int, holds_s: float, desk: Desk) -> None:
        self.launch = launch
        self.working: set[WorkerProcess] = set()
        """Those in service."""
        self.restarts = 0
        self.recycled = 0
        self._places, self._recycle_after, self._holds_s = places, recycle_after, holds_s
        self._desk = desk
        self._processes: dict[WorkerProcess, Launch] = {}  # every one that became ready and has not ended
        self._staffing: list[asyncio.Task[None]] = []
        self._spare: WorkerProcess | None = None  # ready, for the next place that wants one
        self._replacing = asyncio.Lock()
        self._ended = True
        self._starts_failed = 0
        self._barren_deaths = 0

    async def start(self) -> None:
        """Hire for all places and wait until all are ready. Raises WorkerError; leaves nothing behind."""
        first = [asyncio.create_task(self._hire(self.launch)) for _ in range(self._places)]
        try:
            await asyncio.gather(*first)
        except BaseException:
            await self._disband(first)
            raise
        self._ended = False
        for hired in first:
            self._employ(hired.result())
            self._staffing.append(asyncio.create_task(self._keep_staffed(hired.result())))

    async def end(self) -> None:
        """End every worker, whatever it holds. Idempotent."""
        self._ended = True
        await self._disband(self._staffing)
        self._staffing.clear()

    async def replace(self, launch: Launch) -> None:
        """Work with another bundle; returns when the last worker of the old one has answered what it held.

        Before `start`, it only sets what that starts with. Raises WorkerError or TimeoutError when the new one does not
        come up everywhere: the old one serves on. A later call waits for an earlier one.
        """
        async with self._replacing:
            before = self.launch
            if not self._staffing:
                self.launch = launch
                return
            try:
                ready = await self._hire(launch)  # the proof: nothing has changed until then
                self._drop_spare()
                self._spare = ready
                self.launch, self._starts_failed = launch, 0
                await self._move_over(launch)
            except (WorkerError, TimeoutError):
                self.launch = before
                self._send_away(launch)
                raise
            finally:
                if self._ended or len(self.working) >= self._places:
                    self._drop_spare()  # else a place waits to try again, and takes it then

    # What the desk tells

    def gives_answers(self) -> None:
        """A worker has answered something: dying is not a habit."""
        self._barren_deaths = 0

    def done(self, worker: WorkerProcess) -> None:
        """A worker has answered all that it held."""
        if worker.answered >= self._recycle_after:
            worker.leaving.set()
        self._release(worker)

    def end_hung(self, worker: WorkerProcess) -> None:
        """A worker takes too long for what it holds: end it."""
        log.warning("engine.worker_hangs", pid=worker.pid, holding=len(worker.holding))
        worker.hung = True
        self._suspend(worker)
        worker.kill()

    @property
    def dies_in_vain(self) -> bool:
        """True where so many have died in a row without an answer that no message can be the reason."""
        return self._barren_deaths >= _BARREN_DEATHS

    @property
    def is_hopeless(self) -> bool:
        """True with no worker, and no reason to expect one soon."""
        return (self._starts_failed >= _STARTS_FAILED or self.dies_in_vain) and not self.working

    # Places

    async def _keep_staffed(self, worker: WorkerProcess) -> None:
        """Hold one place: when its worker dies, or is worn out, hire another and let it take over."""
        while True:
            await worker.leaving.wait()
            successor = await self._hire_until_ready()
            if worker.gone.is_set():
                self.restarts += 1
            else:
                self.recycled += 1
                worker.retiring = True
                self._suspend(worker)
                if not worker.holding:
                    self._dismiss(worker)
            self._employ(successor)
            worker = successor
            if self._processes.get(worker, self.launch) is not self.launch:
                worker.leaving.set()  # hired just before another bundle took over

    async def _move_over(self, launch: Launch) -> None:
        """Replace what serves with something else, one place after the other. Raises TimeoutError."""
        patience_s = _STARTS_A_PLACE * launch.start_timeout_s + self._holds_s
        while others := [worker for worker, of in self._processes.items() if of is not launch]:
            others[0].leaving.set()
            async with asyncio.timeout(patience_s):
                await others[0].gone.wait()

    def _send_away(self, launch: Launch) -> None:
        """Have every place that works with `launch` go back to what is to be worked with now."""
        self._drop_spare()
        for worker, of in self._processes.items():
            if of is launch:
                worker.leaving.set()

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._dismiss(self._spare)
            self._spare = None

    # One worker

    async def _hire_until_ready(self) -> WorkerProcess:
        while True:
            await asyncio.sleep(self._delay_s())
            spare, self._spare = self._spare, None
            if spare is not None and not spare.gone.is_set():
                return spare
            try:
                worker = await self._hire(self.launch)
            except Exception as error:  # whatever the reason, the place must be filled
                self._starts_failed += 1
                why = str(error) if isinstance(error, WorkerError) else repr(error)
                log.error("engine.worker_not_ready", failed_in_a_row=self._starts_failed, error=why)
                self._tell_if_hopeless()
            else:
                self._starts_failed = 0
                return worker

    async def _hire(self, launch: Launch) -> WorkerProcess:
        worker = await WorkerProcess.start(launch, self._desk.answered, self._gone)
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
        self.working.add(worker)
        self._release(worker)

    def _release(self, worker: WorkerProcess) -> None:
        """The worker has nothing to do."""
        if worker.retiring:
            self._dismiss(worker)
        elif worker in self.working:
            self._desk.free(worker)

    def _suspend(self, worker: WorkerProcess) -> None:
        """Give the worker no more work."""
        self.working.discard(worker)
        self._desk.excused(worker)

    def _dismiss(self, worker: WorkerProcess) -> None:
        """End a worker that is not needed any more."""
        worker.dismissed = True
        self._suspend(worker)
        worker.kill()

    def _gone(self, worker: WorkerProcess) -> None:
        """A worker has ended, on purpose or not."""
        if self._processes.pop(worker, None) is None or worker.dismissed:
            return
        self._suspend(worker)
        self._barren_deaths += 1
        log.warning(
            "engine.worker_gone",
            pid=worker.pid,
            how=worker.ending(),
            holding=len(worker.holding),
            report=worker.crash_report(),
        )
        self._desk.lost(worker)
        self._tell_if_hopeless()

    def _tell_if_hopeless(self) -> None:
        if self.is_hopeless:
            self._desk.deserted()

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
