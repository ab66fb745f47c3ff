"""The folder that one daemon owns: private to its user, and never shared by two daemons.

The lock is the kernel's (flock), so it goes with the process, however that ends. The file's text is for people.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Self

LOCK_NAME = "spamfilter.lock"


class StateDirError(Exception):
    """Why the state directory cannot be used; made to be shown as it is."""


class StateDir:
    """Holds `path` for this process between `acquire` and `release`, or as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Make the folder (mode 0700) and lock it. Raises StateDirError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateDirError(
                f"state_dir {self.path}: {error.strerror}; set state_dir to a folder that this user may write"
            ) from None
        if not _locked(descriptor):
            other = _read_pid(descriptor)
            os.close(descriptor)
            raise StateDirError(
                f"state_dir {self.path} is in use by another spamfilter (process {other}); stop that one, "
                "or give this one a state_dir of its own"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go. The file stays: removing it would race with the next owner."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def owner(path: Path) -> str | None:
    """The process id of the daemon that holds `path` now, or None."""
    try:
        descriptor = os.open(path / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    for _ in range(3):  # `owner` of another process may be looking just now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _read_pid(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
