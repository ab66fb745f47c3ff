"""The folder on disk: claim, read, publish, fail, recover. Everything here blocks and runs in threads.

Layout below the root: `in/` and the Maildir `new/ cur/ tmp/` (arrivals), `work/<instance>/` (claimed), `ham/ unsure/
spam/` (results), `failed/`. The order of the steps is the promise: a file is renamed into `work/`, which only one
daemon can do; its marked copy is written under a hidden name, fsynced, linked to its final name (link never
overwrites), the folder fsynced; only then is the claimed file removed, and the hidden name last. So the hidden name
tells a recovery whether a claimed file was published: by its link count. Maildir's delivery works the same way
(https://cr.yp.to/proto/maildir.html).

Each daemon holds a lock (flock) on `work/<instance>.lock` as long as it lives. Who gets the lock of another instance
knows that it is dead, and takes over what it had claimed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from spamfilter.frontends.folder import disk, names
from spamfilter.frontends.folder.names import Source
from spamfilter.frontends.folder.watch import Key
from spamfilter.message import body_offset, new_message_id
from spamfilter.state_dir import sync_folder

_log = structlog.get_logger(__name__)
RESULTS = ("ham", "unsure", "spam")
_CHUNK = 1024 * 1024


class StillWrittenError(Exception):
    """The file changed while we looked at it."""


class NoRoomError(Exception):
    """Less free space than `min_free_bytes`."""

    def __init__(self, free_bytes: int) -> None:
        super().__init__(f"{free_bytes} bytes free")
        self.free_bytes = free_bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """A name in `in/` or `new/`, and what lstat said of it."""

    source: Source
    name: str
    inode: int
    size: int
    mtime_ns: int

    @property
    def key(self) -> Key:
        """Which file this is."""
        return self.source, self.name

    def same_as(self, other: Arrival) -> bool:
        """True when nobody has written to the file between the two looks."""
        return (self.inode, self.size, self.mtime_ns) == (other.inode, other.size, other.mtime_ns)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A file in `work/`, ours alone. `attempts`: how often it was tried in vain."""

    id: str
    source: Source
    name: str
    path: Path
    size: int
    attempts: int = 0
    recovered: bool = False

    def once_more(self) -> Claimed:
        """The same file, tried in vain once more."""
        return replace(self, attempts=self.attempts + 1)


@dataclass(frozen=True, slots=True)
class Content:
    """What a claimed file holds. Of what is too large, `raw` is the beginning: up to the limit, at least a head."""

    raw: bytes
    whole: bool
    size: int
    mtime_ns: int
    mode: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Which folders there are beside `work/` and `failed/`: for arrivals, for what is published, and others."""

    sources: tuple[Source, ...]
    results: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """All of them."""
        return (*(source.value for source in self.sources), *self.others, "work", *self.results, "failed")


SCANNED = Layout((Source.IN, Source.NEW), RESULTS, ("cur", "tmp"))


class Spool:
    """One instance's hold on the folder. `open` before anything else, `close` at the end."""

    def __init__(self, root: Path, *, max_message_bytes: int, min_free_bytes: int, layout: Layout = SCANNED) -> None:
        self.root = root.absolute()
        self.arrivals = {source: self.root / source.value for source in layout.sources}
        self._layout = layout
        self._work = self.root / "work"
        self._own = self._work / new_message_id()
        self._max_message_bytes = max_message_bytes
        self._min_free_bytes = min_free_bytes
        self._lock: int | None = None

    def open(self) -> None:
        """Create the folders and take this instance's lock.

        Raises OSError where that cannot be done, and ValueError when arrivals could not be claimed by a rename.
        """
        self.make_folders()
        devices = {path.stat().st_dev for path in (*self.arrivals.values(), self._work)}
        if len(devices) > 1:
            arrivals = "/, ".join(source.value for source in self._layout.sources)
            raise ValueError(f"{arrivals}/ and work/ must lie on one file system: files are claimed by renaming them")
        self._lock = disk.locked(self._lock_path(self._own))
        if self._lock is None:
            raise BlockingIOError(errno.EWOULDBLOCK, "locked by another process", str(self._lock_path(self._own)))
        self.make_folders()

    def close(self) -> None:
        """Let go. What is still claimed is taken again by the next start."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # not empty: files wait for another attempt
                self._own.rmdir()
                self._lock_path(self._own).unlink()
            os.close(self._lock)
            self._lock = None

    def make_folders(self) -> None:
        """Create what is missing."""
        for name in self._layout.folders:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        if self._lock is not None:
            self._own.mkdir(exist_ok=True)

    def scan(self, limit: int) -> tuple[list[Arrival], bool]:
        """Up to `limit` arrivals, in no order, and whether these are all."""
        found: list[Arrival] = []
        for source, folder in self.arrivals.items():
            with os.scandir(folder) as entries:
                for entry in entries:
                    if names.left_alone(entry.name):
                        continue
                    if len(found) >= limit:
                        return found, False
                    with contextlib.suppress(FileNotFoundError):
                        found.append(_arrival(source, entry.name, entry.stat(follow_symlinks=False)))
        return found, True

    def look(self, keys: Iterable[Key]) -> list[Arrival]:
        """Those of the named files that are there."""
        found = []
        for source, name in keys:
            if not names.left_alone(name):
                with contextlib.suppress(FileNotFoundError):
                    found.append(_arrival(source, name, (self.arrivals[source] / name).lstat()))
        return found

    def require_room(self) -> None:
        """Raise NoRoomError when any folder's file system is nearly full."""
        for name in ("work", *self._layout.results):
            room = os.statvfs(self.root / name)
            if (free := room.f_bavail * room.f_frsize) < self._min_free_bytes:
                raise NoRoomError(free)

    def claim(self, arrival: Arrival) -> Claimed | None:
        """Take a file, or None when somebody else did. Raises StillWrittenError, NoRoomError and OSError."""
        self.require_room()
        path = self.arrivals[arrival.source] / arrival.name
        claim_id = new_message_id()
        target = self._own / names.claim_name(claim_id, arrival.source, arrival.name)
        try:
            if arrival.source is not Source.NEW and not _arrival(*arrival.key, path.lstat()).same_as(arrival):
                raise StillWrittenError
            path.rename(target)
        except FileNotFoundError:
            return None
        return Claimed(claim_id, arrival.source, arrival.name, target, arrival.size)

    def read(self, claimed: Claimed) -> Content:
        """What the file holds, or its beginning when it is too large.

        Nothing but a regular file is ever opened. Raises UnreadableError, StillWrittenError, and OSError where the
        trouble is not the file's own (no memory, too many open files).
        """
        with disk.opened(claimed.path) as fd:
            before = os.fstat(fd)
            whole = before.st_size <= self._max_message_bytes
            raw = disk.read(fd, before.st_size if whole else min(_CHUNK, self._max_message_bytes))
            while not whole and len(raw) < self._max_message_bytes and body_offset(raw) == len(raw):
                raw += disk.read(fd, min(len(raw), self._max_message_bytes - len(raw)))  # a head of more than a chunk
            after = os.fstat(fd)
        content = Content(raw, whole, before.st_size, before.st_mtime_ns, before.st_mode)
        if (after.st_size, after.st_mtime_ns) != (content.size, content.mtime_ns):
            raise StillWrittenError
        return content

    def rest(self, claimed: Claimed, offset: int) -> Iterator[bytes]:
        """The file's bytes from `offset` on, in pieces."""
        with disk.opened(claimed.path) as fd:
            os.lseek(fd, offset, os.SEEK_SET)
            while piece := disk.read(fd, _CHUNK):
                yield piece

    def publish(self, claimed: Claimed, content: Content, result: str, pieces: Iterable[bytes]) -> Path:
        """Write `pieces` to a file in the folder `result`, durably, and remove the claimed one. Returns its path.

        Never overwrites: a taken name gets the claim id as its suffix. Raises StillWrittenError when the claimed file
        is no longer what was read, and OSError (a full disk, say); then nothing is published and the claim stands.
        """
        folder = self.root / result
        temporary = folder / names.temporary_name(claimed.id)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        target: Path | None = None
        try:
            disk.write(fd, pieces, stat.S_IMODE(content.mode) & 0o666 | stat.S_IRUSR)
            now = claimed.path.lstat()
            if (now.st_size, now.st_mtime_ns) != (content.size, content.mtime_ns):
                raise StillWrittenError
            target = disk.link_new(temporary, folder / claimed.name, folder / names.with_id(claimed.name, claimed.id))
            sync_folder(folder)
        except BaseException:
            for path in filter(None, (target, temporary)):
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
        try:
            claimed.path.unlink()
            temporary.unlink(missing_ok=True)  # only now: it tells a recovery that the claimed file was published
        except OSError as error:
            _log.error("folder.claim_not_removed", file=names.shown(claimed.path), error=str(error))
        return target

    def fail(self, claimed: Claimed, reason: str) -> Path:
        """Move a claimed file of any type to `failed/`, with the reason beside it. Raises OSError."""
        folder = self.root / "failed"
        for name in (claimed.name, names.with_id(claimed.name, claimed.id)):
            target = folder / names.failed_name(name)
            note = folder / names.reason_name(target.name)
            if os.path.lexists(target):
                continue
            try:
                fd = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)  # reserves the name, too
            except FileExistsError:
                continue
            try:
                disk.write(fd, [f"{reason}\n".encode("utf-8", "backslashreplace")], 0o644)
                claimed.path.rename(target)
            except BaseException:
                note.unlink(missing_ok=True)
                raise
            sync_folder(folder)
            return target
        raise FileExistsError(errno.EEXIST, "name is taken", str(folder / claimed.name))

    def recover(self) -> list[Claimed]:
        """Take over what dead instances had claimed. What they had published already is only tidied up."""
        taken: list[Claimed] = []
        for entry in sorted(self._work.iterdir()):
            if entry == self._own or entry.suffix == ".lock" or names.left_alone(entry.name):
                continue
            if entry.is_symlink() or not entry.is_dir():
                taken += self._adopt(entry)  # put here by hand
                continue
            lock = disk.locked(self._lock_path(entry))
            if lock is None:
                continue  # its daemon lives
            try:
                with contextlib.suppress(FileNotFoundError):
                    for file in sorted(entry.iterdir()):
                        taken += self._adopt(file)
                    entry.rmdir()
                self._lock_path(entry).unlink(missing_ok=True)
            finally:
                os.close(lock)
        return [claimed for claimed in taken if not self._was_published(claimed)]

    def remove_orphans(self) -> None:
        """Remove temporary files whose claim is gone: their daemon died after publishing, before tidying up.

        They are listed before the claims, and no claim id is used twice, so a living daemon's are never hit.
        """
        temporaries = [path for result in self._layout.results for path in (self.root / result).glob(".*.part")]
        open_ids = {names.parse_claim(path.name)[0] for path in self._work.glob("*/*")} if temporaries else set()
        for path in temporaries:
            claim_id = names.parse_temporary(path.name)
            if claim_id is not None and claim_id not in open_ids:
                path.unlink(missing_ok=True)

    def _lock_path(self, instance: Path) -> Path:
        return instance.with_name(f"{instance.name}.lock")

    def _adopt(self, path: Path) -> list[Claimed]:
        claim_id, source, name = names.parse_claim(path.name)
        target = self._own / names.claim_name(claim_id, source, name)
        try:
            path.rename(target)
            return [Claimed(claim_id, source, name, target, target.lstat().st_size, recovered=True)]
        except OSError as error:
            if error.errno != errno.ENOENT:
                _log.error("folder.not_recovered", file=names.shown(path), error=str(error))
            return []

    def _was_published(self, claimed: Claimed) -> bool:
        """True, and the claimed file is removed, when its daemon died after publishing it."""
        for result in self._layout.results:
            folder = self.root / result
            temporary = folder / names.temporary_name(claimed.id)
            links = temporary.stat().st_nlink if temporary.exists() else 0
            if links > 1 or (folder / names.with_id(claimed.name, claimed.id)).exists():
                sync_folder(folder)
                claimed.path.unlink()
                temporary.unlink(missing_ok=True)
                _log.info("folder.already_published", file=names.shown(claimed.name), folder=result)
                return True
            temporary.unlink(missing_ok=True)  # half-written
        return False


def _arrival(source: Source, name: str, status: os.stat_result) -> Arrival:
    return Arrival(source, name, status.st_ino, status.st_size, status.st_mtime_ns)
