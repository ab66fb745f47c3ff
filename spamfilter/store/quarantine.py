"""What was kept back: read it, take it for delivery, delete it; a file goes only when that was said to be right."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spamfilter.state_dir import sync_folder
from spamfilter.store.database import StoreError
from spamfilter.store.maildir import Maildir, find_in_maildir, id_in_name


class QuarantineError(StoreError):
    """Why a quarantined message cannot be had; made to be shown as it is."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """An address and the parameters of its RCPT, as the client gave them: `NOTIFY=NEVER`..."""

    address: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A quarantined message: where it lies, since when, how large (bytes)."""

    id: str
    path: Path
    since: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The envelope that came with a quarantined message."""

    mail_from: str
    parameters: tuple[str, ...]
    recipients: tuple[Recipient, ...]


class Quarantine:
    """The Maildir of quarantined mail at `path`. All methods block; those that change something raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._maildir = Maildir(path, "")

    def held(self) -> list[Held]:
        """What is there, the newest first."""
        found: list[Held] = []
        for folder in ("new", "cur"):
            with suppress(OSError), os.scandir(self.path / folder) as entries:
                for entry in entries:
                    id_ = id_in_name(entry.name)
                    if id_ is None or not entry.is_file(follow_symlinks=False):
                        continue
                    with suppress(OSError):  # gone just now
                        status = entry.stat(follow_symlinks=False)
                        since = datetime.fromtimestamp(int(entry.name.partition(".")[0]), UTC)
                        found.append(Held(id_, Path(entry.path), since, status.st_size))
        return sorted(found, key=lambda one: (one.since, one.id), reverse=True)

    def read(self, id_: str) -> bytes:
        """The message as it lies there, with its verdict headers. Raises QuarantineError."""
        try:
            return self._path(id_).read_bytes()
        except OSError as error:
            raise QuarantineError(f"quarantined message {id_} cannot be read: {error.strerror}") from None

    def envelope(self, id_: str) -> Sent:
        """Who sent it and whom it is for. Raises QuarantineError."""
        path = self._maildir.envelope_path(id_)
        try:
            self._path(id_)  # also refuses ids that are none
            plain = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
            recipients = tuple(Recipient(one["address"], tuple(one["parameters"])) for one in plain["rcpt_tos"])
            return Sent(plain["mail_from"], tuple(plain["mail_parameters"]), recipients)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise QuarantineError(
                f"{path}: the envelope cannot be read ({_said(error)}); the message itself is {self._path(id_)}"
            ) from None

    @contextmanager
    def taken(self, id_: str) -> Iterator[bytes]:
        """The message, for nobody else until the block ends. Raises QuarantineError; the file stays."""
        path = self._path(id_)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise QuarantineError(f"quarantined message {id_} cannot be read: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise QuarantineError(f"message {id_} is being released or deleted by somebody else") from None
            if not os.fstat(descriptor).st_nlink:  # they were done between our look and our lock
                raise QuarantineError(_gone(id_))
            yield file.read()

    def remove(self, id_: str) -> None:
        """Delete the message, and then its envelope. Call it within `taken`. Raises QuarantineError, OSError."""
        path = self._path(id_)
        path.unlink()
        sync_folder(path.parent)
        self._maildir.envelope_path(id_).unlink(missing_ok=True)

    def _path(self, id_: str) -> Path:
        found = find_in_maildir(self.path, id_)
        if found is None:
            raise QuarantineError(_gone(id_))
        return found


def _gone(id_: str) -> str:
    return f"no message {id_} in the quarantine; it was released or deleted, or it never was there"


def _said(error: Exception) -> Any:
    return error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
