"""An SMTP reply as a value: our own ones, and the next hop's kept byte for byte so that they can be relayed.

Source: RFC 5321 4.2 (replies, multi-line replies), RFC 3463 (enhanced status codes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_LINE = re.compile(rb"[2-5][0-9]{2}(?:[ -]|\Z)")
_MAX_LINES = 200
_MAX_LINE = 64 * 1024


class BadReplyError(ValueError):
    """What was read is not an SMTP reply."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its code, and its lines as on the wire, code included, without CRLF. Never empty."""

    code: int
    lines: tuple[bytes, ...]

    @classmethod
    def of(cls, code: int, *texts: str) -> Self:
        """Our own reply; `texts` start with the enhanced status code where there is one. Any text is made safe."""
        last = len(texts) - 1
        safe = [text.encode("utf-8", "replace").replace(b"\r", b" ").replace(b"\n", b" ") for text in texts]
        return cls(code, tuple(b"%d%s%s" % (code, b" " if n == last else b"-", text) for n, text in enumerate(safe)))

    @classmethod
    def parse(cls, lines: list[bytes]) -> Self:
        """From the lines of one reply, without CRLF. Raises BadReplyError."""
        codes = set()
        for line in lines:
            if not _LINE.match(line):
                raise BadReplyError(f"not a reply: {line[:80]!r}")
            codes.add(line[:3])
        if len(codes) != 1:
            raise BadReplyError(f"a reply with the codes {sorted(map(int, codes))}")
        return cls(int(lines[0][:3]), tuple(lines))

    @property
    def wire(self) -> bytes:
        """As sent, CRLF after every line."""
        return b"\r\n".join(self.lines) + b"\r\n"

    @property
    def texts(self) -> list[str]:
        """The lines without their codes."""
        return [line[4:].decode("utf-8", "replace") for line in self.lines]

    @property
    def positive(self) -> bool:
        """2xx."""
        return 200 <= self.code < 300

    @property
    def negative(self) -> bool:
        """4xx or 5xx."""
        return 400 <= self.code < 600

    @property
    def closing(self) -> bool:
        """421: whoever says this closes the connection."""
        return self.code == 421

    def __str__(self) -> str:
        return b" / ".join(self.lines).decode("utf-8", "replace")[:300]


def cut(held: bytearray) -> Reply | None:
    """Take the first reply out of what came, or None while it is not complete. Raises BadReplyError."""
    lines: list[bytes] = []
    start = 0
    while (end := held.find(b"\n", start)) >= 0:
        line = bytes(held[start:end]).rstrip(b"\r\n")
        lines.append(line)
        start = end + 1
        if line[3:4] != b"-":
            del held[:start]
            return Reply.parse(lines)
        if len(lines) >= _MAX_LINES:
            raise BadReplyError(f"more than {_MAX_LINES} lines")
    if len(held) - start > _MAX_LINE:
        raise BadReplyError(f"a line of more than {_MAX_LINE} bytes")
    return None
