"""A Maildir on disk: its folders, what each is for, and which messages lie in it. Everything here blocks.

Two layouts: Maildir++ (`.Junk`, `.Archive.2024` beside `cur`) and plain subfolders (`Junk/`, Dovecot's `LAYOUT=fs`).
Names are in IMAP's modified UTF-7 (RFC 3501 5.1.3). A message is known within a folder by its base, the name up to the
colon: flags change what follows it, and reading moves it from `new/` to `cur/`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

_SHIFTED = re.compile(r"&([^-&]*)-")
_MOST_FOLDERS = 2_000
_MOST_DEPTH = 8
_RACY_NS = 2_000_000_000


class Role(Enum):
    """What a folder says of the messages in it: spam, nothing (Trash, Drafts, Sent), or that somebody keeps them."""

    JUNK = "junk"
    IGNORED = "ignored"
    ORDINARY = "ordinary"


class Roles:
    """Tells roles by names as people see them; case and Unicode's ways to write a letter do not matter."""

    def __init__(self, junk: Iterable[str], ignored: Iterable[str]) -> None:
        self._junk = {_folded(name) for name in junk}
        self._ignored = {_folded(name) for name in ignored}

    def of(self, name: str) -> Role:
        """The role of a folder, for example `Archive/2024`: that of the first part that has one."""
        for part in (name, *name.split("/")):  # a name may hold a slash
            if _folded(part) in self._ignored:
                return Role.IGNORED
            if _folded(part) in self._junk:
                return Role.JUNK
        return Role.ORDINARY


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder. `path` is relative to the Maildir, "" for the inbox; `stamp` changes with what lies in it.

    `inode` is that of `cur/`: a renamed folder keeps it. `racy`: changed so lately that the stamp may hide a change.
    """

    path: str
    name: str
    inode: int
    stamp: tuple[int, int]
    racy: bool


class Listed(NamedTuple):  # there are many, and a dataclass takes three times as long to make
    """A message in a folder: `place` is `new/NAME` or `cur/NAME`."""

    place: bytes
    inode: int


def folders(maildir: Path, now_ns: int) -> list[Folder]:
    """The folders that are there, the inbox first. Raises OSError where the Maildir itself cannot be read."""
    found = [folder for folder in (_folder(maildir, "", now_ns),) if folder]
    for path in _below(maildir, ""):
        folder = _folder(maildir, path, now_ns)
        if folder is not None:
            found.append(folder)
        if len(found) > _MOST_FOLDERS:  # half a look would take the rest for gone
            raise OSError(f"more than {_MOST_FOLDERS} folders")
    return found


def listing(folder: Path) -> dict[bytes, Listed]:
    """The messages of a folder by their bases, without those that are marked as deleted. Raises OSError.

    `new/` first: what is read meanwhile moves to `cur/`, and is seen in one or both, never in none.
    """
    found: dict[bytes, Listed] = {}
    for sub in (b"new", b"cur"):
        with os.scandir(os.path.join(os.fsencode(folder), sub)) as entries:  # noqa: PTH118 -- bytes
            for entry in entries:
                name = entry.name
                base, _, flags = name.partition(b":")
                if name[:1] != b"." and b"T" not in flags[2:] and entry.is_file(follow_symlinks=False):
                    found[base] = Listed(sub + b"/" + name, entry.inode())
    return found


def decoded(name: str) -> str:
    """A folder's name from modified UTF-7; one that is not written in it comes back as it is."""
    try:
        return _SHIFTED.sub(lambda match: _unshifted(match[1]), name)
    except (binascii.Error, UnicodeError):
        return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _unshifted(text: str) -> str:
    if not text:
        return "&"
    padded = text.replace(",", "/") + "=" * (-len(text) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be")


def _below(maildir: Path, path: str) -> Iterator[str]:
    """Paths of folders below `path`; every one in both layouts, and no link is followed."""
    with os.scandir(maildir / path) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in names:
        if name in ("cur", "new", "tmp") or (path and name.startswith(".")):
            continue
        below = f"{path}/{name}" if path else name
        yield below
        if not name.startswith(".") and below.count("/") < _MOST_DEPTH:
            with contextlib.suppress(OSError):
                yield from _below(maildir, below)


def _folder(maildir: Path, path: str, now_ns: int) -> Folder | None:
    try:
        new, cur = (os.stat(maildir / path / sub, follow_symlinks=False) for sub in ("new", "cur"))  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    shown = path[1:].replace(".", "/") if path.startswith(".") else path
    name = "/".join(decoded(part) for part in shown.split("/"))
    first, _, rest = name.partition("/")
    name = rest if first.upper() == "INBOX" and rest else name
    newest = max(new.st_mtime_ns, cur.st_mtime_ns)
    return Folder(path, name or "INBOX", cur.st_ino, (new.st_mtime_ns, cur.st_mtime_ns), now_ns - newest < _RACY_NS)
