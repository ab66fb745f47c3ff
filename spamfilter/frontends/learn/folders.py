"""Folders to learn from: what is dropped into `spam/` or `ham/` is learned, and put away.

A file is taken when it has settled, and claimed by a rename into `work/`, so that of two daemons one learns it, and a
crash leaves it where the next start finds it. It is put away only when all of it was learned; learning the same again
changes nothing. What is learned goes to `done/YYYY-MM-DD/`, or is deleted; of what cannot be read, or not all of it,
the file goes to `failed/` with the reason beside it. Trouble that is not the file's own stops everything for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import pwd
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from spamfilter.config import ConfigError, LearnFolderSettings
from spamfilter.correction import Provenance
from spamfilter.frontends.folder import disk, names
from spamfilter.frontends.folder.agenda import Agenda, Backoff, Brake
from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.folder.names import Source, shown
from spamfilter.frontends.folder.spool import Arrival, Claimed, Layout, NoRoomError, Spool, StillWrittenError
from spamfilter.frontends.folder.watch import Key, Watch
from spamfilter.frontends.learn import mailbox_file
from spamfilter.frontends.learn.settings import PASSING, Learn
from spamfilter.message import Message
from spamfilter.state_dir import sync_folder
from spamfilter.store.database import StoreError
from spamfilter.verdict import Failure, Label

CHANNEL = "learn-folder"
LAYOUT = Layout((Source.SPAM, Source.HAM), (), ("done",))

_log = structlog.get_logger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_MIB = 1024 * 1024
_MOST_KNOWN = 20_000  # names held in memory; a larger burst is listed in several goes
_GATHER_S = 0.01
_SCAN_APART_S = 0.5
_MOST_ATTEMPTS = 5  # at a file whose learning raises what nobody foresaw
_MOST_REASONS = 20


class _PassingError(Exception):
    """Learning does not work now, whatever the file; the text says why."""


class _StoppingError(Exception):
    """Told to stop between two messages; the file stays claimed."""


@dataclass(slots=True)
class _Tally:
    """What came of a file's messages."""

    learned: int = 0
    known: int = 0
    unread: int = 0
    reasons: list[str] = field(default_factory=list)

    def refuse(self, number: int, reason: str) -> None:
        self.unread += 1
        if len(self.reasons) < _MOST_REASONS:
            self.reasons.append(f"message {number}: {reason}" if number else reason)

    def text(self) -> str:
        """For the file beside the failed one."""
        if self.learned + self.known + self.unread == 1:
            return self.reasons[0]
        head = f"{self.learned + self.known} messages of this file are learned, {self.unread} are not"
        more = [f"and {self.unread - len(self.reasons)} more"] if self.unread > len(self.reasons) else []
        return "\n".join([head, *self.reasons, *more])


class LearnFolders:
    """Serves `root/spam` and `root/ham`. `start` returns when it is ready, `stop` when everything has ended."""

    def __init__(
        self,
        settings: LearnFolderSettings,
        root: Path,
        learn: Learn,
        max_message_bytes: int,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._settings = settings
        self._learn = learn
        self._limit = max_message_bytes
        self._backoff = backoff or Backoff()
        self._spool = Spool(
            root, max_message_bytes=max_message_bytes, min_free_bytes=settings.min_free_mib * _MIB, layout=LAYOUT
        )
        self._wake = asyncio.Event()
        self._watch = Watch(self._spool.arrivals, self._wake.set, option="learn.folders")
        self._brake = Brake(self._backoff, part="learn.folders")
        self._agenda = Agenda(settings.settle_s, _MOST_KNOWN, self._brake)
        self._unlisted = False  # there are more files than the agenda holds
        self._stuck: set[Key] = set()
        self._again: set[Key] = set()
        self._stopping = False
        self._server: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Create the folders, take over what a crash left in `work/`, begin to watch.

        Raises ConfigError when the folder cannot be used.
        """
        self._stopping = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learn-folders")
        try:
            await self._in_thread(self._spool.open)
            recovered = await self._in_thread(self._spool.recover)
        except (OSError, ValueError) as error:
            self._spool.close()
            self._thread.shutdown()
            self._thread = None
            raise ConfigError(f"learn.folders.path: {self._spool.root} cannot be used: {error}") from error
        self._put_on_agenda(recovered)
        self._watch.bind(asyncio.get_running_loop())
        watching = await self._in_thread(self._watch.start)
        self._server = asyncio.create_task(self._serve(), name="learn-folders")
        _log.info("learn.folders.started", path=str(self._spool.root), watching=watching, recovered=len(recovered))

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more; what is in work has `grace_s` seconds. The next start takes what is left."""
        if self._thread is None:
            return
        self._stopping = True
        self._wake.set()
        await self._in_thread(self._watch.stop)
        if self._server is not None:
            _, late = await asyncio.wait({self._server}, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(self._server, return_exceptions=True)
            self._server = None
        await self._in_thread(self._spool.close)
        self._thread.shutdown()
        self._thread = None
        _log.info("learn.folders.stopped", waiting=self._agenda.waiting)

    async def _serve(self) -> None:
        """Look, work, wait, until told to stop. One file at a time: learning is serial anyway."""
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
                    await self._scan(now)
                await self._look_at(now, {key for key in events if not self._agenda.knows(key)})
            except Exception as error:  # an unreachable disk, say: whatever it is, this goes on
                failed = True
                _log.error("learn.folders.look_failed", error=repr(error), retry_s=self._settings.rescan_s)
            while not self._stopping and (job := self._agenda.take(time.monotonic())) is not None:
                await self._work(job)
            now = time.monotonic()
            due = next_scan if failed else min(next_scan, self._agenda.next_due(now) or next_scan)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(due - now, 0))
                await asyncio.sleep(_GATHER_S)

    async def _scan(self, now: float) -> None:
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
        keys |= self._again
        self._again.clear()
        keys.update(self._agenda.to_look_at(now))
        if keys:
            arrivals = await self._in_thread(self._spool.look, keys)
            for arrival in arrivals:
                self._agenda.see(arrival, now)
            self._agenda.missing(keys - {arrival.key for arrival in arrivals})

    def _put_on_agenda(self, recovered: list[Claimed]) -> None:
        for claimed in recovered:
            _log.info("learn.folders.recovered", file=shown(claimed.name), claim=claimed.id)
            self._agenda.put_off(claimed, time.monotonic())

    async def _work(self, job: Arrival | Claimed) -> None:
        """One attempt at a file. Afterwards it is put away, failed, or put off."""
        claimed = await self._claim(job) if isinstance(job, Arrival) else job
        if claimed is None:
            return
        try:
            tally = await self._learn_file(claimed)
            if tally.reasons:
                await self._fail(claimed, tally.text())
            else:
                target = await self._in_thread(self._put_away, claimed)
                _log.info(
                    "learn.folders.learned",
                    file=shown(claimed.name),
                    label=claimed.source.value,
                    learned=tally.learned,
                    known=tally.known,
                    target=shown(target) if target else "",
                )
            self._brake.release()
        except _StoppingError:
            self._agenda.put_off(claimed, time.monotonic())
        except StillWrittenError:
            self._agenda.put_off(claimed, time.monotonic() + max(self._settings.settle_s, _GATHER_S))
        except UnreadableError as error:
            await self._fail(claimed, str(error))
        except FileNotFoundError:
            _log.warning("learn.folders.gone", file=shown(claimed.name), effect="somebody removed it from work/")
        except (_PassingError, StoreError, OSError) as error:
            self._brake.apply(time.monotonic(), "learning does not work", error=str(error))
            self._agenda.put_off(claimed, self._brake.until)
        except Exception as error:  # a bug must neither end the part nor lose the file
            _log.exception("learn.folders.unexpected", file=shown(claimed.name), claim=claimed.id)
            again = replace(claimed, attempts=claimed.attempts + 1)
            if again.attempts < _MOST_ATTEMPTS:
                self._agenda.put_off(again, time.monotonic() + self._backoff.after(again.attempts))
            else:
                await self._fail(claimed, f"not learned: {type(error).__name__}: {error}")

    async def _claim(self, arrival: Arrival) -> Claimed | None:
        try:
            return await self._in_thread(self._spool.claim, arrival)
        except StillWrittenError:
            self._again.add(arrival.key)
            self._wake.set()
        except NoRoomError as error:
            self._brake.apply(time.monotonic(), "disk full", free_mib=error.free_bytes // _MIB)
            self._agenda.put_back(arrival)
        except OSError as error:
            if arrival.key not in self._stuck:
                self._stuck.add(arrival.key)
                _log.error("learn.folders.not_claimed", file=shown(arrival.name), error=str(error))
        return None

    async def _learn_file(self, claimed: Claimed) -> _Tally:
        """Learn every message of a file. Raises what `_work` sorts out."""
        if claimed.source not in self._spool.arrivals:
            raise UnreadableError("found in work/ without a sign whether it is spam or ham")
        label = Label(claimed.source.value)
        who = await self._in_thread(_owner, claimed.path)
        provenance = Provenance(who, f"dropped into {claimed.source.value}/", CHANNEL)
        tally = _Tally()
        found = mailbox_file.messages(claimed.path, claimed.name, CHANNEL, self._limit)
        try:
            while (one := await self._in_thread(next, found, None)) is not None:
                if self._stopping and one.number > 1:
                    raise _StoppingError
                if isinstance(one.message, str):
                    tally.refuse(one.number, one.message)
                else:
                    await self._learn_one(one.message, one.number, label, provenance, tally)
        finally:
            await self._in_thread(_close, found)
        return tally

    async def _learn_one(
        self, message: Message, number: int, label: Label, provenance: Provenance, tally: _Tally
    ) -> None:
        outcome = await self._learn(message, label, provenance)
        if not isinstance(outcome, Failure):
            tally.learned += outcome.changed
            tally.known += not outcome.changed
        elif outcome.kind in PASSING:
            raise _PassingError(f"{outcome.kind}: {outcome.detail}")
        else:
            tally.refuse(number, outcome.detail or str(outcome.kind))

    def _put_away(self, claimed: Claimed) -> Path | None:
        """Move what was learned below `done/`, or delete it. Raises OSError."""
        if not self._settings.keep_done:
            claimed.path.unlink()
            return None
        folder = self._spool.root / "done" / date.today().isoformat() / claimed.source.value
        folder.mkdir(parents=True, exist_ok=True)
        target = disk.link_new(claimed.path, folder / claimed.name, folder / names.with_id(claimed.name, claimed.id))
        sync_folder(folder)
        claimed.path.unlink(missing_ok=True)  # where there are no links it was renamed
        return target

    async def _fail(self, claimed: Claimed, reason: str) -> None:
        try:
            target = await self._in_thread(self._spool.fail, claimed, reason)
        except OSError as error:
            self._brake.apply(time.monotonic(), "failed/ cannot be written", error=str(error))
            self._agenda.put_off(claimed, self._brake.until)
            return
        first = reason.partition("\n")[0]
        _log.warning("learn.folders.failed", file=shown(claimed.name), target=shown(target), reason=first)

    async def _in_thread(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        assert self._thread is not None
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*args, **kwargs))


def _close(found: Iterator[mailbox_file.Found]) -> None:
    close = getattr(found, "close", None)
    if close is not None:
        close()


def _owner(path: Path) -> str:
    """Who dropped a file, as the file system knows it."""
    uid = path.lstat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
