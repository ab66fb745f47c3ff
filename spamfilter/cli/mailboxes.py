"""From paths to the single messages that they hold: files, mbox files, Maildirs, folders, standard input.

An mbox may be larger than memory, so it is read line by line, and a message that is too large costs only itself.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spamfilter.cli.outcomes import STDIN
from spamfilter.message import Kind, Message, kind_of

_SEPARATOR = re.compile(rb"From .{0,200}?\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .{0,40}?\d\d:\d\d")
_QUOTED = re.compile(rb">+From ")
_MOST_LINE = 1 << 20


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
    first = stream.readline(_MOST_LINE)
    if _SEPARATOR.match(first):
        yield from _of_mbox(path, first, stream, limit)
        return
    raw = first + stream.read(max(0, limit + 1 - len(first)))
    yield Found(path, _message(raw, limit), len(raw))


def _of_mbox(path: str, first: bytes, stream: IO[bytes], limit: int) -> Iterator[Found]:
    """The messages of an mbox without their `From ` lines, and with `>From ` unquoted as mboxrd has it."""
    number, size, held = 1, len(first), 0
    lines: list[bytes] = []
    blank = begins = False
    while line := stream.readline(_MOST_LINE):
        if begins_here := (blank and _SEPARATOR.match(line) is not None):
            yield Found(f"{path}:{number}", _joined(lines, held, limit), size)
            number, size, held, lines = number + 1, 0, 0, []
        size += len(line)
        if not begins_here:
            held += len(line)
            if held <= limit + 2:
                lines.append(line[1:] if not begins and _QUOTED.match(line) else line)
            else:
                lines.clear()
        blank = line in (b"\n", b"\r\n") and not begins
        begins = not line.endswith(b"\n")  # the next piece goes on with this line
    yield Found(f"{path}:{number}", _joined(lines, held, limit), size)


def _joined(lines: list[bytes], held: int, limit: int) -> Message | str:
    if lines and lines[-1] in (b"\n", b"\r\n"):  # it parts this message from the next
        held -= len(lines.pop())
    return _message(b"".join(lines), limit, held)


def _message(raw: bytes, limit: int, size: int | None = None) -> Message | str:
    if (len(raw) if size is None else size) > limit:
        return f"too_large: more than {limit} bytes (engine.max_message_mib)"
    kind = kind_of(raw)
    if kind is Kind.TEXT and b"\0" in raw:
        return "neither mail nor text: no header block, and NUL bytes"
    return Message(raw, "cli", kind=kind)
