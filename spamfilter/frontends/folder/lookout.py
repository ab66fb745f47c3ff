"""Looks for files in a folder, claims them and gives each to whoever works on it, until that is done with it.

The road of a file: seen (inotify, scan at start, rescan) -> settled -> claimed -> worked on. A claimed file is in
`work/` and always in somebody's hands: the worker's, or the agenda's, which brings it again. While the brake is on,
nothing new is claimed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import structlog

from spamfilter.config import MIB, ConfigError
from spamfilter.frontends.folder.agenda import Agenda, Backoff, Brake
from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.folder.memory import ByteBudget
from spamfilter.frontends.folder.names import shown
from spamfilter.frontends.folder.spool import (
    SCANNED,
    Arrival,
    Claimed,
    Layout,
    NoRoomError,
    Spool,
    StillWrittenError,
)
from spamfilter.frontends.folder.watch import Key, Watch

_log = structlog.get_logger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_MOST_KNOWN = 20_000  # names held in memory; a larger burst is listed in several goes
_GATHER_S = 0.01  # events of a burst are gathered this long before they are looked at
_SCAN_APART_S = 0.5  # the least time between two full looks

Work = Callable[[Claimed], Awaitable[None]]
"""One attempt at a claimed file; when it returns, the file has left `work/`, or is put off, or is the next start's.

Where it raises instead: StillWrittenError and NoRoomError put the file off, UnreadableError moves it to `failed/`, and
FileNotFoundError is the end of it where somebody removed the file. Anything else is logged, and the file tried later.
"""


class Pace(Protocol):
    """The part of the configuration that every folder has: `folder`, `learn.folders`. Seconds and MiB."""

    @property
    def rescan_s(self) -> float: ...

    @property
    def settle_s(self) -> float: ...

    @property
    def min_free_mib(self) -> int: ...


class Lookout:
    """Serves the folder at `root` with `workers` tasks. `start` returns when it looks, `stop` when all has ended.

    `part` is the part of the configuration, and begins the names of what is logged. Files of `max_message_bytes` in all
    are worked on at one time. With `give_up_after`, a file at which so many attempts raised what nobody foresaw goes to
    `failed/`; without, it is tried for as long as it takes.
    """

    def __init__(
        self,
        part: str,
        root: Path,
        pace: Pace,
        work: Work,
        *,
        layout: Layout = SCANNED,
        max_message_bytes: int,
        workers: int = 1,
        backoff: Backoff | None = None,
        give_up_after: int | None = None,
    ) -> None:
        self._part = part
        self._pace = pace
        self._do = work
        self._limit = max_message_bytes
        self._count = workers
        self._backoff = backoff or Backoff()
        self._give_up_after = give_up_after
        least = pace.min_free_mib * MIB
        self.spool = Spool(root, max_message_bytes=max_message_bytes, min_free_bytes=least, layout=layout)
        self.brake = Brake(self._backoff, part)
        self._wake = asyncio.Event()
        self._watch = Watch(self.spool.arrivals, self._wake.set, part)
        self._agenda = Agenda(pace.settle_s, _MOST_KNOWN, self.brake)
        self._memory = ByteBudget(max_message_bytes)
        self._look_again: set[Key] = set()
        self._unlisted = False  # there are more files than the agenda holds
        self._stuck: set[Key] = set()
        self._news = asyncio.Condition()
        self.stopping = self._out_of_grace = False
        self._asking: set[asyncio.Future[Any]] = set()
        self._looker: asyncio.Task[None] | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._threads: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Create the folders, take over what a crash left in `work/`, begin to watch.

        Raises ConfigError when the folder cannot be used.
        """
        self.stopping = self._out_of_grace = False
        self._threads = ThreadPoolExecutor(self._count + 1, thread_name_prefix=self._part)
        try:
            await self.in_thread(self.spool.open)
            recovered = await self.in_thread(self.spool.recover)
            await self.in_thread(self.spool.remove_orphans)
        except (OSError, ValueError) as error:
            self.spool.close()
            self._threads.shutdown()
            self._threads = None
            raise ConfigError(f"{self._part}.path: {self.spool.root} cannot be used: {error}") from error
        self._put_on_agenda(recovered)
        self._watch.bind(asyncio.get_running_loop())
        watching = await self.in_thread(self._watch.start)
        self._looker = asyncio.create_task(self._look(), name=f"{self._part}-look")
        self._workers = [asyncio.create_task(self._work(), name=f"{self._part}-{n}") for n in range(self._count)]
        _log.info(f"{self._part}.started", path=str(self.spool.root), watching=watching, recovered=len(recovered))

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more, let files in work finish for `grace_s` seconds. The next start takes what is left."""
        if self._threads is None:
            return
        self.stopping = True
        self._wake.set()
        await self.in_thread(self._watch.stop)
        async with self._news:
            self._news.notify_all()
        if self._looker is not None:
            await self._looker
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=grace_s)
            self._out_of_grace = bool(late)
            for asking in list(self._asking) if late else ():
                asking.cancel()  # only what is asked: a publication that has begun is finished
            await asyncio.gather(*self._workers)
        await self.in_thread(self.spool.close)
        self._threads.shutdown()
        self._threads = None
        _log.info(f"{self._part}.stopped", waiting=self._agenda.waiting)

    # What an attempt may do

    def put_off(self, claimed: Claimed, until: float) -> None:
        """Bring a claimed file again at `until`, of the monotonic clock."""
        self._agenda.put_off(claimed, until)
        self._wake.set()  # the looker has to reckon with it

    def try_later(self, claimed: Claimed) -> None:
        """Bring a claimed file again, the later the more often it was tried."""
        again = claimed.once_more()
        delay = self._backoff.after(again.attempts)
        _log.info(
            f"{self._part}.put_off", file=shown(claimed.name), claim=claimed.id, attempt=again.attempts, retry_s=delay
        )
        self.put_off(again, time.monotonic() + delay)

    def let_settle(self, claimed: Claimed) -> None:
        """Bring a claimed file again when whoever still writes to it may have done."""
        self.put_off(claimed, time.monotonic() + max(self._pace.settle_s, _GATHER_S))

    async def fail(self, claimed: Claimed, reason: str) -> None:
        """Move a claimed file to `failed/`, with the reason beside it; later, where that cannot be written."""
        try:
            target = await self.in_thread(self.spool.fail, claimed, reason)
        except Exception as error:  # whatever it is, the file is where it was
            self.brake.apply(time.monotonic(), "failed/ cannot be written", error=str(error))
            self.try_later(claimed)
            return
        first = reason.partition("\n")[0]
        _log.warning(f"{self._part}.failed", file=shown(claimed.name), target=shown(target), reason=first)

    async def answer(self, ask: Callable[[], Awaitable[_T]]) -> _T | None:
        """What may take long, done for an attempt; None when `stop` would not wait for it. Raises what it raises."""
        if self._out_of_grace:
            return None
        asking = asyncio.ensure_future(ask())
        self._asking.add(asking)
        try:
            return await asking
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            return None
        finally:
            self._asking.discard(asking)

    async def in_thread(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do what blocks in a thread of the folder's own; there is one for each worker, and one for looking."""
        assert self._threads is not None
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args, **kwargs))

    # Looking for files

    async def _look(self) -> None:
        """Keep the agenda up to date, and wake the workers whenever there may be something to do."""
        next_scan = last_scan = 0.0
        while not self.stopping:
            self._wake.clear()
            now = time.monotonic()
            events, overflown = self._watch.take()
            if overflown or (self._unlisted and self._agenda.half_empty):
                next_scan = min(next_scan, last_scan + _SCAN_APART_S)
            failed = False
            try:
                if now >= next_scan:
                    last_scan, next_scan = now, now + self._pace.rescan_s
                    await self._scan(now)
                await self._look_at(now, {key for key in events if not self._agenda.knows(key)})
            except Exception as error:  # an unreachable disk, say: whatever it is, the looker goes on
                failed = True
                _log.error(f"{self._part}.look_failed", error=repr(error), retry_s=self._pace.rescan_s)
            now = time.monotonic()
            async with self._news:
                self._news.notify_all()
            due = next_scan if failed else min(next_scan, self._agenda.next_due(now) or next_scan)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(due - now, 0))
                await asyncio.sleep(_GATHER_S)

    async def _scan(self, now: float) -> None:
        """Look at everything."""
        await self.in_thread(self.spool.make_folders)
        self._put_on_agenda(await self.in_thread(self.spool.recover))
        arrivals, complete = await self.in_thread(self.spool.scan, _MOST_KNOWN)
        for arrival in arrivals:
            self._agenda.see(arrival, now)
        if complete:
            seen = {arrival.key for arrival in arrivals}
            self._agenda.missing(self._agenda.settling - seen)
            self._stuck &= seen
        self._unlisted = not complete or self._agenda.full

    async def _look_at(self, now: float, keys: set[Key]) -> None:
        keys |= self._look_again
        self._look_again.clear()
        keys.update(self._agenda.to_look_at(now))
        if not keys:
            return
        arrivals = await self.in_thread(self.spool.look, keys)
        for arrival in arrivals:
            self._agenda.see(arrival, now)
        self._agenda.missing(keys - {arrival.key for arrival in arrivals})

    def _put_on_agenda(self, recovered: list[Claimed]) -> None:
        for claimed in recovered:
            _log.info(f"{self._part}.recovered", file=shown(claimed.name), claim=claimed.id)
            self.put_off(claimed, time.monotonic())

    # Working on files

    async def _work(self) -> None:
        while not self.stopping:
            job = self._agenda.take(time.monotonic())
            if job is None:
                async with self._news:
                    if not self.stopping:
                        await self._news.wait()
                continue
            if self._unlisted and self._agenda.half_empty:
                self._wake.set()
            async with self._memory.held(min(job.size, self._limit)):
                if self.stopping:
                    return  # it stays where it is
                claimed = await self._claim(job) if isinstance(job, Arrival) else job
                if claimed is not None:
                    try:
                        await self._attempt(claimed)
                    except Exception as error:  # a bug must not end the worker, nor lose the file
                        _log.exception(f"{self._part}.unexpected", file=shown(claimed.name), claim=claimed.id)
                        await self._survive(claimed, error)

    async def _claim(self, arrival: Arrival) -> Claimed | None:
        try:
            return await self.in_thread(self.spool.claim, arrival)
        except StillWrittenError:
            self._look_again.add(arrival.key)
            self._wake.set()
        except NoRoomError as error:
            self._brake_for_room(error)
            self._agenda.put_back(arrival)
            self._wake.set()
        except OSError as error:
            if arrival.key not in self._stuck:
                self._stuck.add(arrival.key)
                _log.error(
                    f"{self._part}.not_claimed", file=shown(arrival.name), error=str(error), effect="it stays there"
                )
        except Exception:  # a bug must not end the worker
            _log.exception(f"{self._part}.unexpected", file=shown(arrival.name), claim="")
        return None

    async def _attempt(self, claimed: Claimed) -> None:
        """Let the work be done, and do with the file what it raises for."""
        try:
            await self._do(claimed)
        except StillWrittenError:
            self.let_settle(claimed)
        except NoRoomError as error:
            self._brake_for_room(error)
            self.put_off(claimed, self.brake.until)
        except UnreadableError as error:
            await self.fail(claimed, str(error))
        except FileNotFoundError:
            if await self.in_thread(os.path.lexists, claimed.path):
                raise  # it is another file that is missing
            _log.warning(f"{self._part}.gone", file=shown(claimed.name), effect="somebody removed it from work/")

    async def _survive(self, claimed: Claimed, error: Exception) -> None:
        if self._give_up_after is None or claimed.once_more().attempts < self._give_up_after:
            self.try_later(claimed)
        else:
            why = f"{type(error).__name__}: {error}"
            await self.fail(claimed, f"given up after {self._give_up_after} attempts: {why}")

    def _brake_for_room(self, error: NoRoomError) -> None:
        free, least = error.free_bytes // MIB, self._pace.min_free_mib
        self.brake.apply(time.monotonic(), "disk full", free_mib=free, min_free_mib=least)
