"""From paths to the single messages that they hold: files, mbox files, Maildirs, folders, standard input.

An mbox may be larger than memory, so it is read line by line, and a message that is too large costs only itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spamfilter.cli.outcomes import STDIN
from spamfilter.mbox import pieces
from spamfilter.message import Kind, Message, kind_of


@dataclass(frozen=True, slots=True)
class Found:
    """A message by the place where it stands (of an mbox: with its number), or in words why it cannot be read.

    `size` is the bytes read for it.
    """

    place: str
    message: Message | str
    size: int = 0


def messages(paths: Iterable[str], limit: int) -> Iterator[Found]:
    """Every message of every path, in order. Folders as `mailbox_files` reads them. `limit` is in bytes a message."""
    for path in mailbox_files(paths):
        try:
            if path == STDIN:
                yield from _of_stream(path, sys.stdin.buffer, limit)
                continue
            with open(os.fsencode(path), "rb") as file:  # noqa: PTH123 -- a Path would normalise what was given
                yield from _of_stream(path, file, limit)
        except (OSError, ValueError) as error:
            yield Found(path, error.strerror or str(error) if isinstance(error, OSError) else str(error))


def mailbox_files(paths: Iterable[str]) -> Iterator[str]:
    """Paths as given, with every folder replaced by the files below it, in order of name.

    Of a Maildir (a folder with `new` and `cur`) only what lies in these two is mail; the rest is its server's. Hidden
    files and folders are left out, and with them a Maildir's subfolders: name those that you mean.
    """
    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            yield path
            continue
        for folder, below, files in os.walk(path):
            maildir = {"new", "cur"} <= set(below)
            below[:] = sorted(name for name in below if not name.startswith(".") and not (maildir and name == "tmp"))
            for name in [] if maildir else sorted(files):
                if not name.startswith(".") and (Path(folder) / name).is_file():
                    yield os.path.join(folder, name)  # noqa: PTH118 -- as it was given, with ./ where there was one


def total_bytes(paths: Iterable[str]) -> int | None:
    """How much `messages` will read, or None where standard input is among it."""
    total = 0
    for path in mailbox_files(paths):
        if path == STDIN:
            return None
        try:
            total += Path(path).stat().st_size
        except (OSError, ValueError):
            continue
    return total


def _of_stream(path: str, stream: IO[bytes], limit: int) -> Iterator[Found]:
    for number, raw, read in pieces(stream, limit):
        yield Found(f"{path}:{number}" if number else path, _message(raw, limit), read)


def _message(raw: bytes | None, limit: int) -> Message | str:
    if raw is None:
        return f"too_large: more than {limit} bytes (engine.max_message_mib)"
    kind = kind_of(raw)
    if kind is Kind.TEXT and b"\0" in raw:
        return "neither mail nor text: no header block, and NUL bytes"
    return Message(raw, "cli", kind=kind)
