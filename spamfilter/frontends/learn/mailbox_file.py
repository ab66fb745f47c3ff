"""The messages of one dropped file: a mail, a text, or an mbox of any size, which is read line by line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from spamfilter.frontends.folder import disk
from spamfilter.frontends.folder.spool import StillWrittenError
from spamfilter.message import Kind, Message, kind_of

_SEPARATOR = re.compile(rb"From \S.* (?:\d\d:\d\d)")
_QUOTED = re.compile(rb">+From ")
_MOST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A message of a file; `number` counts an mbox's from 1, and is 0 for a file that is one message."""

    number: int
    message: Message | str  # or in words why it cannot be read


def messages(path: Path, name: str, channel: str, limit: int) -> Iterator[Found]:
    """Every message of a file that was dropped under `name`, each of at most `limit` bytes.

    Nothing but a regular file is ever opened. Raises UnreadableError, StillWrittenError before the first message that
    was read while the file changed, and OSError where the trouble is not the file's own.
    """
    with disk.opened(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        before = os.fstat(descriptor)
        for number, raw, size in _split(file, limit):
            now = os.fstat(descriptor)
            if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise StillWrittenError
            if size > limit:
                yield Found(number, f"too large: {size} bytes, limit {limit} (engine.max_message_mib)")
                continue
            certain = number or PurePath(name).suffix.lower() == ".eml"
            kind = Kind.MAIL if certain else kind_of(raw)
            if kind is Kind.TEXT and b"\0" in raw:
                yield Found(number, "neither mail nor text: no header block, and NUL bytes")
            else:
                yield Found(number, Message(raw, channel, kind=kind))


def _split(file: IO[bytes], limit: int) -> Iterator[tuple[int, bytes, int]]:
    """Number, bytes and size of each message. Of one that is larger than the limit the bytes are not kept."""
    first = file.readline(_MOST_LINE)
    if not _SEPARATOR.match(first):
        raw = first + file.read(max(0, limit + 1 - len(first)))
        yield 0, raw, len(raw) if len(raw) <= limit else os.fstat(file.fileno()).st_size
        return
    number, held = 1, 0
    lines: list[bytes] = []
    blank = b""  # where it is blank; the one that parts two messages is not the message's
    continued = False
    while line := file.readline(_MOST_LINE):
        if blank and _SEPARATOR.match(line):
            yield number, *_joined(lines, held, blank)
            number, held, lines = number + 1, 0, []
        else:
            held += len(line)
            if held <= limit + 2:
                lines.append(line[1:] if not continued and _QUOTED.match(line) else line)
            else:
                lines.clear()
        blank = line if line in (b"\n", b"\r\n") and not continued else b""
        continued = not line.endswith(b"\n")  # the next piece goes on with this line
    yield number, *_joined(lines, held, blank)


def _joined(lines: list[bytes], held: int, blank: bytes) -> tuple[bytes, int]:
    if lines and blank:
        lines.pop()
    return b"".join(lines), held - len(blank)
