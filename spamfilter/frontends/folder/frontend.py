"""The watched folder's daemon side: looks for files, scans them with a fixed number of workers, stops in order.

The road of a file: seen (inotify, scan at start, rescan) -> settled -> claimed -> read -> scanned -> published.
What becomes of it:

- tagged or accepted: into `ham/`, `unsure/` or `spam/` by its label;
- quarantined or rejected: into `spam/`, since a folder has no sender who could be answered;
- accepted without a scan (policy.failures): into `unsure/`, with the `unscanned` header. What is larger than the limit
  goes this way without being read into memory: a marked head, then the rest copied in pieces;
- tempfailed: it stays claimed in `work/` and is scanned again later, for as long as it takes. While the engine is down
  or overloaded, or the disk full, nothing new is claimed;
- what cannot be read, or is no regular file: into `failed/`, with the reason beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from spamfilter import headers
from spamfilter.config import ConfigError, FolderSettings
from spamfilter.frontends.folder.agenda import Agenda, Backoff, Brake
from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.folder.memory import ByteBudget
from spamfilter.frontends.folder.names import shown
from spamfilter.frontends.folder.results import folder_for, kind, marked
from spamfilter.frontends.folder.spool import (
    Arrival,
    Claimed,
    Content,
    NoRoomError,
    Spool,
    StillWrittenError,
)
from spamfilter.frontends.folder.watch import Key, Watch
from spamfilter.message import Message, new_message_id
from spamfilter.scanner import Scanner
from spamfilter.verdict import Decision, Disposition, Failure, FailureKind

_log = structlog.get_logger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_MIB = 1024 * 1024
_MOST_KNOWN = 20_000  # names held in memory; a larger burst is listed in several goes
_GATHER_S = 0.01  # events of a burst are gathered this long before they are looked at
_SCAN_APART_S = 0.5  # the least time between two full looks
_SYSTEMIC = (FailureKind.ENGINE_DOWN, FailureKind.OVERLOAD)


class FolderFrontend:
    """Serves one folder. `start` returns when it is ready, `stop` when everything has ended."""

    def __init__(
        self,
        settings: FolderSettings,
        root: Path,
        scanner: Scanner,
        markup: headers.Markup,
        max_message_bytes: int,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        backoff = backoff or Backoff()
        self._settings = settings
        self._scanner = scanner
        self._markup = markup
        self._limit = max_message_bytes
        self._backoff = backoff
        self._spool = Spool(root, max_message_bytes=max_message_bytes, min_free_bytes=settings.min_free_mib * _MIB)
        self._wake = asyncio.Event()
        self._watch = Watch(self._spool.arrivals, self._wake.set)
        self._brake = Brake(backoff)
        self._agenda = Agenda(settings.settle_s, _MOST_KNOWN, self._brake)
        self._memory = ByteBudget(max_message_bytes)
        self._look_again: set[Key] = set()
        self._unlisted = False  # there are more files than the agenda holds
        self._stuck: set[Key] = set()
        self._work = asyncio.Condition()
        self._stopping = self._out_of_grace = False
        self._looker: asyncio.Task[None] | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._scans: set[asyncio.Task[Decision]] = set()
        self._threads: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Create the folders, take over what a crash left in `work/`, begin to watch.

        Raises ConfigError when the folder cannot be used.
        """
        self._threads = ThreadPoolExecutor(self._settings.concurrency + 1, thread_name_prefix="folder")
        try:
            await self._in_thread(self._spool.open)
            recovered = await self._in_thread(self._spool.recover)
            await self._in_thread(self._spool.remove_orphans)
        except (OSError, ValueError) as error:
            self._spool.close()
            self._threads.shutdown()
            self._threads = None
            raise ConfigError(f"folder.path: {self._spool.root} cannot be used: {error}") from error
        self._put_on_agenda(recovered)
        self._watch.bind(asyncio.get_running_loop())
        watching = await self._in_thread(self._watch.start)
        self._looker = asyncio.create_task(self._look(), name="folder-look")
        self._workers = [
            asyncio.create_task(self._process_files(), name=f"folder-{n}") for n in range(self._settings.concurrency)
        ]
        _log.info("folder.started", path=str(self._spool.root), watching=watching, recovered=len(recovered))

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more, let files in work finish for `grace_s` seconds. The next start takes what is left."""
        if self._threads is None:
            return
        self._stopping = True
        self._wake.set()
        await self._in_thread(self._watch.stop)
        async with self._work:
            self._work.notify_all()
        if self._looker is not None:
            await self._looker
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=grace_s)
            self._out_of_grace = bool(late)
            for scan in list(self._scans) if late else ():
                scan.cancel()  # only the scans: a publication that has begun is finished
            await asyncio.gather(*self._workers)
        await self._in_thread(self._spool.close)
        self._threads.shutdown()
        self._threads = None
        _log.info("folder.stopped", waiting=self._agenda.waiting)

    # Looking for files

    async def _look(self) -> None:
        """Keep the agenda up to date, and wake the workers whenever there may be something to do."""
        next_scan = last_scan = 0.0
        while not self._stopping:
            self._wake.clear()
            now = time.monotonic()
            events, overflown = self._watch.take()
            if overflown or (self._unlisted and self._agenda.half_empty):
                next_scan = min(next_scan, last_scan + _SCAN_APART_S)
            failed = False
            try:
                if now >= next_scan:
                    last_scan, next_scan = now, now + self._settings.rescan_s
                    await self._scan_folder(now)
                await self._look_at(now, {key for key in events if not self._agenda.knows(key)})
            except Exception as error:  # an unreachable disk, say: whatever it is, the looker goes on
                failed = True
                _log.error("folder.look_failed", error=repr(error), retry_s=self._settings.rescan_s)
            now = time.monotonic()
            async with self._work:
                self._work.notify_all()
            due = next_scan if failed else min(next_scan, self._agenda.next_due(now) or next_scan)
            try:
                await asyncio.wait_for(self._wake.wait(), max(due - now, 0))
                await asyncio.sleep(_GATHER_S)
            except TimeoutError:
                pass

    async def _scan_folder(self, now: float) -> None:
        """Look at everything."""
        await self._in_thread(self._spool.make_folders)
        self._put_on_agenda(await self._in_thread(self._spool.recover))
        arrivals, complete = await self._in_thread(self._spool.scan, _MOST_KNOWN)
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
        arrivals = await self._in_thread(self._spool.look, keys)
        for arrival in arrivals:
            self._agenda.see(arrival, now)
        self._agenda.missing(keys - {arrival.key for arrival in arrivals})

    def _put_on_agenda(self, recovered: list[Claimed]) -> None:
        for claimed in recovered:
            _log.info("folder.recovered", file=shown(claimed.name), claim=claimed.id)
            self._put_off(claimed, time.monotonic())

    # Working on files

    async def _process_files(self) -> None:
        while not self._stopping:
            job = self._agenda.take(time.monotonic())
            if job is None:
                async with self._work:
                    if not self._stopping:
                        await self._work.wait()
                continue
            if self._unlisted and self._agenda.half_empty:
                self._wake.set()
            async with self._memory.held(min(job.size, self._limit)):
                if self._stopping:
                    return  # it stays where it is
                claimed = None
                try:
                    claimed = await self._claim(job) if isinstance(job, Arrival) else job
                    if claimed is not None:
                        await self._process(claimed)
                except Exception:  # a bug must not end the worker, nor lose the file
                    _log.exception("folder.unexpected", file=shown(job.name), claim=claimed.id if claimed else "")
                    if claimed is not None:
                        self._try_later(claimed)

    async def _claim(self, arrival: Arrival) -> Claimed | None:
        try:
            return await self._in_thread(self._spool.claim, arrival)
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
                _log.error("folder.not_claimed", file=shown(arrival.name), error=str(error), effect="it stays there")
        return None

    async def _process(self, claimed: Claimed) -> None:
        """One attempt at a claimed file. Afterwards it is published, failed, or put off."""
        try:
            await self._in_thread(self._spool.require_room)
            content = await self._in_thread(self._spool.read, claimed)
        except NoRoomError as error:
            self._brake_for_room(error)
            self._put_off(claimed, self._brake.until)
            return
        except StillWrittenError:
            self._put_off(claimed, time.monotonic() + max(self._settings.settle_s, _GATHER_S))
            return
        except UnreadableError as error:
            await self._fail(claimed, str(error))
            return
        except FileNotFoundError:
            _log.warning("folder.gone", file=shown(claimed.name), effect="somebody removed it from work/")
            return
        except OSError as error:
            _log.warning("folder.not_read", file=shown(claimed.name), error=str(error), effect="tried again")
            self._try_later(claimed)
            return
        message = Message(
            content.raw,
            "folder",
            kind=kind(claimed.name, claimed.source, content.raw),
            # a further attempt is a further decision; the first one keeps the id that the file carries in work/
            id=new_message_id() if claimed.attempts or claimed.recovered else claimed.id,
        )
        decision = await self._decide(message, content)
        if decision is not None:
            await self._carry_out(decision, claimed, content, message)

    async def _decide(self, message: Message, content: Content) -> Decision | None:
        """The scanner's decision, or None when `stop` would not wait for it."""
        if not content.whole:
            detail = f"{content.size} bytes, limit {self._limit}"
            return self._scanner.without_scan(message, Failure(FailureKind.TOO_LARGE, detail))
        if self._out_of_grace:
            return None
        scan = asyncio.create_task(self._scanner.scan(message))
        self._scans.add(scan)
        try:
            return await scan
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return None
        finally:
            self._scans.discard(scan)

    async def _carry_out(self, decision: Decision, claimed: Claimed, content: Content, message: Message) -> None:
        disposition, detail = Disposition.FAILED, "unexpected error; tried again"
        try:
            result = folder_for(decision)
            if result is None:
                disposition, detail = Disposition.TEMPFAILED, "stays in work/, tried again"
                self._tempfail(decision, claimed)
                return
            rest = None if content.whole else partial(self._spool.rest, claimed)
            pieces = marked(message, decision, self._markup, rest)
            try:
                target = await self._in_thread(self._spool.publish, claimed, content, result, pieces)
            except StillWrittenError:
                detail = "written to meanwhile; tried again"
                again = replace(claimed, attempts=claimed.attempts + 1)
                self._put_off(again, time.monotonic() + max(self._settings.settle_s, _GATHER_S))
            except UnreadableError as error:
                detail = str(error)
                await self._fail(claimed, detail)
            except OSError as error:
                detail = f"not published: {error.strerror or error}; tried again"
                self._brake.apply(time.monotonic(), "results cannot be written", error=str(error))
                self._try_later(claimed)
            else:
                disposition, detail = Disposition.DELIVERED, shown(target)
                self._brake.release()
                _log.info("folder.published", file=shown(claimed.name), target=shown(target), message=message.id)
        finally:
            self._scanner.settle(decision, disposition, detail)

    def _tempfail(self, decision: Decision, claimed: Claimed) -> None:
        failure = decision.outcome if isinstance(decision.outcome, Failure) else None
        if failure is not None and failure.kind in _SYSTEMIC:
            self._brake.apply(time.monotonic(), f"scanning fails: {failure.kind}", error=failure.detail)
        self._try_later(claimed)

    def _try_later(self, claimed: Claimed) -> None:
        again = replace(claimed, attempts=claimed.attempts + 1)
        delay = self._backoff.after(again.attempts)
        _log.info("folder.put_off", file=shown(claimed.name), claim=claimed.id, attempt=again.attempts, retry_s=delay)
        self._put_off(again, time.monotonic() + delay)

    async def _fail(self, claimed: Claimed, reason: str) -> None:
        try:
            target = await self._in_thread(self._spool.fail, claimed, reason)
        except OSError as error:
            self._brake.apply(time.monotonic(), "failed/ cannot be written", error=str(error))
            self._try_later(claimed)
            return
        _log.warning("folder.failed", file=shown(claimed.name), target=shown(target), reason=reason)

    def _put_off(self, claimed: Claimed, until: float) -> None:
        self._agenda.put_off(claimed, until)
        self._wake.set()  # the looker has to reckon with it

    def _brake_for_room(self, error: NoRoomError) -> None:
        self._brake.apply(
            time.monotonic(),
            "disk full",
            free_mib=error.free_bytes // _MIB,
            min_free_mib=self._settings.min_free_mib,
        )

    async def _in_thread(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        assert self._threads is not None
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args, **kwargs))
