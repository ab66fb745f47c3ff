"""The few system calls that custody rests on: open without surprises, write durably, name without overwriting, lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_OF_THE_FILE = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.EIO, errno.ENXIO, errno.ENODEV, errno.EISDIR})
_TYPES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class UnreadableError(Exception):
    """The file can never be scanned as it is; the text says why, for people."""


def locked(path: Path) -> int | None:
    """A descriptor that holds the lock, or None when somebody else does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise
    return fd


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """A regular file for reading. Every error that is the file's own, in the block too, becomes UnreadableError."""
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            raise UnreadableError(f"not a regular file but {_TYPES.get(stat.S_IFMT(mode), 'something else')}")
        # the flags: should it have been exchanged since, no link is followed and no pipe waited for
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UnreadableError("not a regular file")
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _OF_THE_FILE:
            raise UnreadableError(f"cannot be read: {error.strerror}") from error
        raise


def read(fd: int, size: int) -> bytes:
    """Up to `size` bytes; fewer only at the end of the file."""
    pieces: list[bytes] = []
    while size > 0 and (piece := os.read(fd, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def write(fd: int, pieces: Iterable[bytes], mode: int) -> None:
    """Write everything, durably, and close the descriptor in any case."""
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view) :]
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def link_new(source: Path, target: Path, own: Path) -> Path:
    """Give the file the name `target`, or `own` where that is taken; returns which. Raises OSError.

    Never overwrites: where the file system has no hard links, the file is renamed to `own`, which nobody else uses.
    """
    try:
        for path in (target, own):
            try:
                path.hardlink_to(source)
                return path
            except FileExistsError:
                continue
        raise FileExistsError(errno.EEXIST, "both names are taken", str(own))
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    source.rename(own)
    return own
