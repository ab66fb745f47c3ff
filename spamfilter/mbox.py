"""Takes an mbox apart line by line: it may be larger than memory, and a message that is too large costs only itself.

A line begins a message when it follows a blank one, starts with `From ` and holds a weekday and a time (RFC 4155); what
was quoted for its sake (`>From `) is unquoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, NamedTuple

_SEPARATOR = re.compile(rb"From .{0,200}?\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .{0,40}?\d\d:\d\d")
_QUOTED = re.compile(rb">+From ")
_MOST_LINE = 1 << 20
_BLANK = (b"\n", b"\r\n")


class Piece(NamedTuple):
    """A message: its number in the mbox from 1, or 0 where the file is one message; None for one that is too large;
    and how many bytes were read for it."""

    number: int
    raw: bytes | None
    read: int


def pieces(stream: IO[bytes], limit: int) -> Iterator[Piece]:
    """Every message of a stream, each of at most `limit` bytes. Of what is larger no byte is kept."""
    first = stream.readline(_MOST_LINE)
    if not _SEPARATOR.match(first):
        raw = first + stream.read(max(0, limit + 1 - len(first)))
        yield Piece(0, raw if len(raw) <= limit else None, len(raw))
        return
    number, held, read = 1, 0, len(first)
    lines: list[bytes] = []
    blank = b""  # where the last line is; the one that parts two messages is not the message's
    continued = not first.endswith(b"\n")
    while line := stream.readline(_MOST_LINE):
        if blank and _SEPARATOR.match(line):
            yield Piece(number, _joined(lines, held, blank, limit), read)
            number, held, read, lines = number + 1, 0, 0, []
        elif held <= limit + 2:
            held += len(line)
            lines.append(line[1:] if not continued and _QUOTED.match(line) else line)
        else:
            lines.clear()
        read += len(line)
        blank = line if line in _BLANK and not continued else b""
        continued = not line.endswith(b"\n")  # the next piece goes on with this line
    yield Piece(number, _joined(lines, held, blank, limit), read)


def _joined(lines: list[bytes], held: int, blank: bytes, limit: int) -> bytes | None:
    if held - len(blank) > limit:
        return None
    return b"".join(lines[:-1] if lines and blank else lines)
