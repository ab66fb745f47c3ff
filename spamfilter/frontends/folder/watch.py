"""What the kernel says about new files, brought from watchdog's threads to the event loop, coalesced and bounded."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from watchdog.events import (
    DirCreatedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from spamfilter.frontends.folder.names import Source

_log = structlog.get_logger(__name__)
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
]
_MOST_NAMES = 10_000
_SYSCTL = {errno.ENOSPC: "fs.inotify.max_user_watches", errno.EMFILE: "fs.inotify.max_user_instances"}

# watchdog logs its own race between two of its threads as an error, whenever it is stopped
logging.getLogger("watchdog.observers.inotify").addFilter(
    lambda line: "when the thread is inactive" not in str(line.msg)
)

Key = tuple[Source, str]
"""A file by the folder it was dropped into and its name."""


class Watch(FileSystemEventHandler):
    """Names of files that appeared or changed, until somebody takes them.

    `wake` is called on the loop that `start` ran on, once for any number of events between two calls of `take`.
    `option`: the part of the configuration that the folders are set in, for the log.
    """

    def __init__(self, folders: dict[Source, Path], wake: Callable[[], None], option: str = "folder") -> None:
        self._sources = {os.fsencode(path): source for source, path in folders.items()}
        self._folders = folders
        self._wake = wake
        self._option = option
        self._lock = threading.Lock()
        self._names: set[Key] = set()
        self._overflown = False
        self._signalled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._observer: BaseObserver | None = None

    def start(self) -> bool:
        """Begin to watch. False, and a line in the log, where the kernel does not let us: then only rescans find files.

        Blocks for a moment: call it in a thread, after `bind`.
        """
        observer = Observer()
        for path in self._folders.values():
            observer.schedule(self, str(path), event_filter=_EVENTS, follow_symlink=True)
        try:
            observer.start()
        except OSError as error:
            observer.unschedule_all()
            sysctl = _SYSCTL.get(error.errno or 0, "")
            _log.warning(
                f"{self._option}.watch_unavailable",
                error=str(error),
                effect=f"new files are found by rescans only, every {self._option}.rescan_s seconds",
                **({"remedy": f"raise the limit: sysctl -w {sysctl}=<larger>"} if sysctl else {}),
            )
            return False
        self._observer = observer
        return True

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop on which `wake` is to be called."""
        self._loop = loop

    def stop(self) -> None:
        """End the threads. Blocks until they have ended."""
        self._loop = None
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def take(self) -> tuple[set[Key], bool]:
        """The names since the last call, and whether there were more than are kept (then only a rescan helps)."""
        with self._lock:
            names, overflown = self._names, self._overflown
            self._names, self._overflown, self._signalled = set(), False, False
        return names, overflown

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in a thread of its own."""
        keys = [key for path in (event.src_path, event.dest_path) if path and (key := self._key(path))]
        if not keys:
            return
        with self._lock:
            if len(self._names) < _MOST_NAMES:
                self._names.update(keys)
            else:
                self._overflown = True
            signal, self._signalled = not self._signalled, True
        loop = self._loop
        if signal and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake)

    def _key(self, path: str | bytes) -> Key | None:
        folder, name = os.path.split(os.fsencode(path))
        source = self._sources.get(folder)
        return (source, os.fsdecode(name)) if source is not None else None
