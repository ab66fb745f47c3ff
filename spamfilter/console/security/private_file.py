"""A small JSON file of secrets: readable by its owner alone, replaced whole, changed by one program at a time."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from spamfilter.config import ConfigError

Values = dict[str, Any]
T = TypeVar("T")


class PrivateFile:
    """The object in a JSON file, read again whenever the file has changed; an absent file is an empty object."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: Values = {}
        self._version: tuple[int, ...] | None = None

    def values(self) -> Values:
        """What it holds now; not to be changed. Raises ConfigError where it cannot be read, or others can read it."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}") from None
        version = (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)
        if version != self._version:
            if found.st_mode & 0o077:
                raise ConfigError(f"{self.path}: others may read it; run: chmod 600 {self.path}")
            self._read = _load(self.path)
            self._version = version
        return self._read

    def change(self, change: Callable[[Values], T]) -> T:
        """Replace the file by what `change` makes of its values; what it returns. Raises ConfigError."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(_private(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                values = dict(self.values())
                result = change(values)
                write_private(self.path, json.dumps(values, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}") from None
        return result


def write_private(path: Path, text: str) -> None:
    """Replace a file by one with mode 0600, at once and on the disk. Raises OSError."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(_private(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        new.rename(path)
    finally:
        new.unlink(missing_ok=True)


def _private(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _load(path: Path) -> Values:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object, found a {type(values).__name__}")
    return values
