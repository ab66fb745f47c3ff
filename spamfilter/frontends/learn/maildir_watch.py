"""Learns from what people do: a message that somebody moves into Junk is spam, one moved out of it is ham.

Trash, Drafts and Sent say nothing, neither as source nor as target, and nor does a delivery straight into Junk, by
whatever filter, nor a copy that stays beside its original. The kernel says which Maildir changed (inotify); what
changed in it is found by comparing folders with the index, so a lost event, or a day without us, costs only time. A
folder whose `new` and `cur` have not changed since the last look is not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import pwd
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import ParamSpec, TypeVar

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from spamfilter.config import ConfigError, LearnMaildirSettings
from spamfilter.correction import Provenance
from spamfilter.frontends.folder.agenda import Backoff, Brake
from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.folder.names import shown
from spamfilter.frontends.learn import maildir_message
from spamfilter.frontends.learn.maildir_folders import Roles, folders
from spamfilter.frontends.learn.maildir_index import MaildirIndex, Move
from spamfilter.frontends.learn.settings import IGNORED, JUNK, PASSING, Learn
from spamfilter.message import Message
from spamfilter.store.database import StoreError
from spamfilter.verdict import Failure

CHANNEL = "maildir"
INDEX_NAME = "maildirs.sqlite"

_log = structlog.get_logger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_EVENTS: list[type[FileSystemEvent]] = [
    *(FileCreatedEvent, FileMovedEvent, FileDeletedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]
_MOST_WATCHED = 32  # each takes an inotify instance, of which a user has 128, and two threads; rescans find the rest
_GATHER_S = 0.2  # events of a burst are gathered this long
_REST = 10  # a Maildir is not looked at again for this many times as long as its last look took
_AT_ONCE = 16
_MOST_ATTEMPTS = 5

# watchdog warns of a race of its own: a folder made within a folder just made is added twice, and that does no harm
warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, "watchdog")


@dataclass(slots=True)
class _Watched:
    """A Maildir and what is remembered of it between two looks."""

    path: Path
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)
    due: float = 0.0  # of the next look; infinity: when something happens
    rest_until: float = 0.0
    watch: ObservedWatch | None = None
    inode: int = 0  # of the folder that is watched; 0: none could be
    trouble: str = ""


class _Events(FileSystemEventHandler):
    """Notes that something happened in one Maildir. Called by watchdog, in threads of its own."""

    def __init__(self, maildir: Path, changed: Callable[[Path], None]) -> None:
        self._maildir = maildir
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = [PurePath(str(path)) for path in (event.src_path, event.dest_path) if path]
        if event.is_directory or any(path.parent.name in ("new", "cur") for path in paths):
            self._changed(self._maildir)


class MaildirWatch:
    """Watches Maildirs. `start` returns when it is ready, `stop` when everything has ended.

    `folder` is ours alone: the index lies in it. `learn` is called with one message at a time.
    """

    def __init__(
        self,
        settings: LearnMaildirSettings,
        folder: Path,
        learn: Learn,
        max_message_bytes: int,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._settings = settings
        self._learn = learn
        self._limit = max_message_bytes
        self._index = MaildirIndex(
            folder / INDEX_NAME,
            Roles(settings.junk or JUNK, settings.ignored or IGNORED),
            settings.move_window_s,
            lambda path: maildir_message.identify(path, max_message_bytes),
        )
        self._brake = Brake(backoff or Backoff(), part="learn.maildirs")
        self._maildirs: dict[Path, _Watched] = {}
        self._changed: set[Path] = set()
        self._lock = threading.Lock()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._observer: BaseObserver | None = None
        self._unwatched: set[str] = set()
        self._stopping = False
        self._server: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Open the index and begin to watch; the first look is not waited for. Raises ConfigError."""
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learn-maildirs")
        try:
            await self._in_thread(self._index.open)
            await self._in_thread(self._find)
        except Exception as error:
            await self._in_thread(self._close)
            self._thread.shutdown()
            self._thread = None
            raise ConfigError(f"learn.maildir: the index below state_dir cannot be used: {error}") from error
        self._server = asyncio.create_task(self._serve(), name="learn-maildirs")
        _log.info(
            "learn.maildirs.started",
            maildirs=len(self._maildirs),
            watching=sum(one.watch is not None for one in self._maildirs.values()),
        )

    async def stop(self, grace_s: float) -> None:
        """Take nothing new; what is in work has `grace_s` seconds. The next start takes what is left."""
        if self._thread is None:
            return
        self._stopping = True
        self._loop = None
        self._wake.set()
        if self._server is not None:
            _, late = await asyncio.wait({self._server}, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(self._server, return_exceptions=True)
            self._server = None
        await self._in_thread(self._close)
        self._thread.shutdown()
        self._thread = None
        self._maildirs.clear()
        _log.info("learn.maildirs.stopped")

    async def _serve(self) -> None:
        rescan = time.monotonic() + self._settings.rescan_s
        while not self._stopping:
            self._wake.clear()
            now = time.monotonic()
            if now >= rescan:
                rescan = now + self._settings.rescan_s
                await self._in_thread(self._find)
            for watched in list(self._maildirs.values()):
                if self._stopping:
                    return
                if max(watched.due, watched.rest_until) <= time.monotonic():
                    await self._in_thread(self._look, watched)
            await self._learn_moves()
            now = time.monotonic()
            due = min((max(one.due, one.rest_until) for one in self._maildirs.values()), default=rescan)
            brake = self._brake.until if self._brake.until > now else rescan
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(min(due, rescan, brake) - now, 0.01))
                await asyncio.sleep(_GATHER_S)
            self._take_changes()

    def _find(self) -> None:
        """Find Maildirs, watch new ones, and have a look at each."""
        found = dict.fromkeys(path for pattern in self._settings.maildirs for path in _matching(pattern))
        for path in list(self._maildirs):
            if path not in found:
                self._unwatch(self._maildirs.pop(path))
        for path in found:
            watched = self._maildirs.setdefault(path, _Watched(path))
            watched.due = 0.0
            with contextlib.suppress(OSError):
                if watched.inode != (inode := path.stat().st_ino):  # new, or another one in its place
                    self._unwatch(watched)
                    watched.inode = inode
                    self._watch(watched)
        self._index.keep_only(list(found))

    def _watch(self, watched: _Watched) -> None:
        reason = f"more than {_MOST_WATCHED} Maildirs"
        if sum(one.watch is not None for one in self._maildirs.values()) < _MOST_WATCHED:
            if self._observer is None:
                self._observer = Observer()
                self._observer.start()
            try:
                watched.watch = self._observer.schedule(
                    _Events(watched.path, self._note_change), str(watched.path), recursive=True, event_filter=_EVENTS
                )
                return
            except OSError as error:
                reason = str(error)
        if reason not in self._unwatched:
            self._unwatched.add(reason)
            _log.warning(
                "learn.maildirs.watch_unavailable",
                maildir=shown(watched.path),
                reason=reason,
                effect=f"moves are found every {self._settings.rescan_s:g} s (learn.maildir.rescan_s)",
            )

    def _unwatch(self, watched: _Watched) -> None:
        if watched.watch is not None and self._observer is not None:
            with contextlib.suppress(KeyError, OSError):
                self._observer.unschedule(watched.watch)
            watched.watch = None

    def _close(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None
        self._index.close()

    def _note_change(self, maildir: Path) -> None:
        """Called in watchdog's threads."""
        with self._lock:
            first = not self._changed
            self._changed.add(maildir)
        loop = self._loop
        if first and loop is not None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(self._wake.set)

    def _take_changes(self) -> None:
        with self._lock:
            changed, self._changed = self._changed, set()
        for path in changed & self._maildirs.keys():
            self._maildirs[path].due = 0.0

    def _look(self, watched: _Watched) -> None:
        """Compare a Maildir with the index. Trouble is said once, and costs only this look."""
        began = time.monotonic()
        watched.due = float("inf")
        try:
            self._compare(watched)
            watched.trouble = ""
        except Exception as error:
            if watched.trouble != str(error):
                watched.trouble = str(error)
                _log.warning("learn.maildirs.not_read", maildir=shown(watched.path), error=repr(error))
        watched.rest_until = time.monotonic() + min(_REST * (time.monotonic() - began), self._settings.rescan_s)

    def _compare(self, watched: _Watched) -> None:
        now = time.time()
        present = folders(watched.path, time.time_ns())
        for folder in present:
            if watched.stamps.get(folder.path) == folder.stamp:
                continue
            try:
                self._index.update(watched.path, folder, now)
            except (FileNotFoundError, NotADirectoryError):
                continue  # removed meanwhile; it changes what lies above it, which is another look
            if folder.racy:
                watched.stamps.pop(folder.path, None)
            else:
                watched.stamps[folder.path] = folder.stamp
        self._index.update_missing(watched.path, present, now)
        watched.stamps = {
            folder.path: watched.stamps[folder.path] for folder in present if folder.path in watched.stamps
        }
        self._index.note_looked(watched.path)
        self._index.judge(watched.path, now)
        self._index.forget_old(now)

    async def _learn_moves(self) -> None:
        """Learn what waits, in order, until it is done or learning does not work."""
        while not self._stopping and time.monotonic() >= self._brake.until:
            moves = await self._in_thread(self._index.moves, _AT_ONCE)
            if not moves:
                return
            for move in moves:
                if self._stopping or not await self._learn_move(move):
                    return

    async def _learn_move(self, move: Move) -> bool:
        """True when the move is dealt with; False when it, and all behind it, must wait."""
        details = {"maildir": shown(move.maildir), "label": str(move.label), "source": move.source, "to": move.target}
        try:
            raw = await self._in_thread(maildir_message.read_again, move.path, move.base, self._limit)
            provenance = Provenance(
                await self._in_thread(_owner, move.maildir), f"moved from {move.source} to {move.target}", CHANNEL
            )
            outcome = await self._learn(Message(raw, CHANNEL), move.label, provenance)
        except (UnreadableError, FileNotFoundError) as error:
            _log.warning("learn.maildirs.not_learned", **details, reason=str(error))
        except Exception as error:
            if move.attempts < _MOST_ATTEMPTS or _passes(error):
                await self._in_thread(self._index.failed, move)
                self._brake.apply(time.monotonic(), "learning does not work", error=repr(error))
                return False
            _log.error("learn.maildirs.not_learned", **details, reason=repr(error))
        else:
            if isinstance(outcome, Failure) and outcome.kind in PASSING:
                self._brake.apply(time.monotonic(), "learning does not work", error=outcome.detail or str(outcome.kind))
                return False
            self._brake.release()
            if isinstance(outcome, Failure):
                _log.warning("learn.maildirs.not_learned", **details, reason=outcome.detail or str(outcome.kind))
            else:
                _log.info("learn.maildirs.learned", **details, who=provenance.who, changed=outcome.changed)
        await self._in_thread(self._index.done, move)
        return True

    async def _in_thread(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        assert self._thread is not None
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*args, **kwargs))


def _matching(pattern: str) -> Iterable[Path]:
    """A path as it is, whether it is there or not; of a pattern, the folders that fit."""
    path = str(Path(pattern).expanduser().absolute())
    if not glob.has_magic(path):
        return [Path(path)]
    return (found for name in sorted(glob.glob(path)) if (found := Path(name)).is_dir())  # noqa: PTH207 -- absolute


def _passes(error: Exception) -> bool:
    return isinstance(error, StoreError | OSError)


def _owner(maildir: Path) -> str:
    """Whose word it is: the user in whose home the Maildir lies; of a Maildir elsewhere, its path."""
    with contextlib.suppress(KeyError, OSError):
        user = pwd.getpwuid(maildir.stat().st_uid)
        if len(user.pw_dir) > 1 and maildir.is_relative_to(user.pw_dir):
            return user.pw_name
    return shown(maildir)
