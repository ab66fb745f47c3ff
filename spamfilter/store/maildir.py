"""Delivery into a Maildir that survives a power cut: when `deliver` returns, the message is on the disk.

Used where we are the last station: local delivery, and the quarantine. All functions block; call them in a thread.
Source: D. J. Bernstein, "Using maildir format" (cr.yp.to/proto/maildir.html).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from spamfilter.state_dir import sync_folder

_FOLDERS = ("tmp", "new", "cur")
_ENVELOPES = "envelopes"
_ABANDONED_S = 36 * 3600  # the age at which Bernstein's text allows to remove a file from `tmp/`
_NAME = re.compile(r"[0-9]+\.([0-9A-Za-z_-]{1,64})P[0-9]+Q[0-9]+\.")
_sequence = itertools.count()


class Maildir:
    """A Maildir at `path`. `hostname` goes into the names of files."""

    def __init__(self, path: Path, hostname: str) -> None:
        self.path = path
        self._host = hostname.replace("/", "\\057").replace(":", "\\072")

    def prepare(self) -> None:
        """Create what is missing, durably, and sweep what a crash left in `tmp/`. Raises OSError."""
        for name in _FOLDERS:
            make_folder(self.path / name)
        for left in (self.path / "tmp").iterdir():
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _ABANDONED_S:
                    left.unlink()

    def deliver(self, message_id: str, parts: Iterable[bytes], *, envelope: Mapping[str, object] | None = None) -> Path:
        """Write the parts as one message into `new/` and return its path; `message_id` becomes part of the name.

        With `envelope`, that is kept as JSON in `envelopes/MESSAGE_ID.json`, and is there before the message is.
        Raises OSError, and then leaves no message behind.
        """
        if envelope is not None:
            make_folder(self.path / _ENVELOPES)
            text = json.dumps(envelope, ensure_ascii=False, indent=1).encode("utf-8", "surrogateescape")
            self._publish(f"{message_id}.json", (text, b"\n"), _ENVELOPES)
        unique = f"{int(time.time())}.{message_id}P{os.getpid()}Q{next(_sequence)}.{self._host}"
        return self._publish(unique, parts, "new")

    def envelope_path(self, message_id: str) -> Path:
        """Where `deliver` keeps the envelope of a message."""
        return self.path / _ENVELOPES / f"{message_id}.json"

    def _publish(self, name: str, parts: Iterable[bytes], folder: str) -> Path:
        temporary, final = self.path / "tmp" / name, self.path / folder / name
        parts = tuple(parts)
        try:
            _write(temporary, parts)
        except FileNotFoundError:
            self.prepare()  # somebody tidied up while we ran
            _write(temporary, parts)
        try:
            temporary.rename(final)  # atomic; names are ours alone, so nothing is replaced
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(final.parent)
        return final


def find_in_maildir(path: Path, message_id: str) -> Path | None:
    """The message that `deliver` wrote under an id, in `new/` or, once somebody has looked at it, in `cur/`."""
    for folder in ("new", "cur"):
        with suppress(OSError), os.scandir(path / folder) as entries:
            for entry in entries:
                if id_in_name(entry.name) == message_id:
                    return path / folder / entry.name
    return None


def id_in_name(name: str) -> str | None:
    """The message id in the name of a file that `deliver` wrote, or None in any other."""
    match = _NAME.match(name)
    return match[1] if match else None


def make_folder(path: Path) -> None:
    """Create a folder and its parents, private to us, each entry synced into its parent. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    sync_folder(path.parent)


def _write(path: Path, parts: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
