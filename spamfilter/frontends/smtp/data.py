"""What a client sends: command lines, and the data of a message up to the one sequence that ends it.

Only CR LF "." CR LF ends data, whatever else looks like an end. Data with a bare CR or LF are taken to their end and
then refused: servers disagree about what such bytes mean, and between two opinions fits a smuggled message.
Source: RFC 5321 2.3.8, 4.1.1.4, 4.5.2; SEC Consult, "SMTP Smuggling" (2023).
"""

from __future__ import annotations

from enum import Enum, auto

from spamfilter.frontends.smtp.wire import Wire

_END = b"\r\n.\r\n"
_CHUNK = 256 * 1024


class ClientGoneError(Exception):
    """The client closed the connection."""


class LineTooLongError(Exception):
    """A command line above the limit; it has been read to its end and thrown away."""


class Fault(Enum):
    """Why the data of a message were not kept."""

    TOO_LARGE = auto()
    OVERLOAD = auto()
    BARE_NEWLINE = auto()


class Budget:
    """How many bytes of mail all sessions together may hold. Not thread-safe; the event loop's own."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, count: int) -> bool:
        """Reserve bytes; False, and nothing reserved, when they would go beyond the limit."""
        if self.held + count > self._limit:
            return False
        self.held += count
        return True

    def give(self, count: int) -> None:
        """Give back what was taken."""
        self.held -= count

    @property
    def exhausted(self) -> bool:
        """True when nothing more can be taken."""
        return self.held >= self._limit


class DataParser:
    """Data of one message, fed in pieces of any size. No I/O.

    `limit` is the largest message in bytes, dots unstuffed. Beyond it, or beyond the budget, nothing is kept but the
    end is still looked for. Call `release` when the message is no longer held.
    """

    def __init__(self, limit: int, budget: Budget) -> None:
        # The CR LF behind the DATA command counts as the one before the first line: "." there ends empty data.
        self._buffer = bytearray(b"\r\n")
        self._limit = limit
        self._raw_limit = limit + limit // 3 + 8  # lines of a lone dot grow from three bytes to four
        self._budget = budget
        self._taken = 0
        self.fault: Fault | None = None

    def feed(self, chunk: bytes) -> bytes | None:
        """None while the end has not come, then the bytes behind it."""
        buffer = self._buffer
        if self.fault is None:
            if len(buffer) + len(chunk) > self._raw_limit + len(_END) + _CHUNK:
                self._drop(Fault.TOO_LARGE)
            elif self._budget.take(len(chunk)):
                self._taken += len(chunk)
            else:
                self._drop(Fault.OVERLOAD)
        start = max(0, len(buffer) - len(_END) + 1)
        buffer += chunk
        end = buffer.find(_END, start)
        if end >= 0:
            rest = bytes(memoryview(buffer)[end + len(_END) :])
            del buffer[end + 2 :]
            return rest
        if self.fault is not None:
            del buffer[: -len(_END)]
        return None

    def content(self) -> bytes:
        """The message, unstuffed, its last line ended; b"" when there is a `fault`, which this may find. Call once."""
        if self.fault is not None:
            return b""
        buffer, self._buffer = self._buffer, bytearray()
        newlines = buffer.count(b"\r\n")
        if buffer.count(b"\n") != newlines or buffer.count(b"\r") != newlines:
            self._drop(Fault.BARE_NEWLINE)
            return b""
        if b"\r\n." in buffer:
            buffer = buffer.replace(b"\r\n.", b"\r\n")
        if len(buffer) - 2 > self._limit:
            self._drop(Fault.TOO_LARGE)
            return b""
        content = bytes(memoryview(buffer)[2:])
        self._budget.give(self._taken - len(content))  # what followed the end, and the dots
        self._taken = len(content)
        return content

    def release(self) -> None:
        """Give the bytes back to the budget. May be called again."""
        self._budget.give(self._taken)
        self._taken = 0

    def _drop(self, fault: Fault) -> None:
        self.fault = fault
        del self._buffer[: -len(_END)]
        self.release()


class Inbox:
    """The bytes that came from the client and were not yet understood. `silence_s`: how long it may send none."""

    def __init__(self, wire: Wire, silence_s: float) -> None:
        self._wire = wire
        self._held = wire.held
        self._silence_s = silence_s

    @property
    def at_end(self) -> bool:
        """True when the client has closed and nothing of it is left to be read."""
        return self._wire.at_end

    async def line(self, limit: int) -> bytes:
        """The next command line without its end. Raises LineTooLongError, ClientGoneError, SilentError."""
        held, searched, too_long = self._held, 0, False
        while (end := held.find(b"\n", searched)) < 0:
            if len(held) > limit:
                too_long = True
                held.clear()
            searched = len(held)
            await self._more()
        line = bytes(held[:end])
        del held[: end + 1]
        if too_long or len(line) > limit:
            raise LineTooLongError
        return line[:-1] if line.endswith(b"\r") else line

    async def data(self, parser: DataParser) -> None:
        """Feed `parser` to the end of the data. Raises ClientGoneError, SilentError."""
        held = self._held
        while True:
            chunk = bytes(held[:_CHUNK])
            del held[:_CHUNK]
            if (rest := parser.feed(chunk)) is not None:
                held[:0] = rest
                return
            if not held:
                await self._more()

    async def _more(self) -> None:
        if not await self._wire.more(self._wire.loop.time() + self._silence_s):
            raise ClientGoneError
