"""One connection as both sides of the relay use it: bytes held until they are understood, and one wait at a time.

asyncio's streams and timeouts set up several objects for every line, and a short mail is a dozen lines. This is what is
left of them when one task owns the connection and waits for one thing at a time.
"""

from __future__ import annotations

import asyncio
from typing import cast

_HELD_HIGH = 128 * 1024  # bytes: beyond it nothing more is read from the socket until the owner asks for more


class SilentError(Exception):
    """The other end did nothing until the time was up."""


class Wire(asyncio.Protocol):
    """A connection. `held` are the bytes that came and were not taken out; its owner deletes what it understood."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.held = bytearray()
        self.lost = False
        self._ended = False
        self._error: Exception | None = None
        self._reading = True
        self._full = False
        self._waiter: asyncio.Future[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def at_end(self) -> bool:
        """True when the other end has closed and nothing of it is left to be read."""
        return (self._ended or self.lost) and not self.held

    @property
    def closing(self) -> bool:
        """True when nothing can be read or written any more, or soon."""
        return self._ended or self.lost or self.transport.is_closing()

    async def more(self, until: float) -> bool:
        """Wait for bytes to be added to `held`; False when none will come. `until` in the loop's time.

        Raises SilentError, and what `interrupt` was given.
        """
        had = len(self.held)
        while len(self.held) <= had:  # what was written may leave meanwhile, which wakes, too
            if self._ended or self.lost:
                return False
            if not self._reading:
                self._reading = True
                self.transport.resume_reading()
            await self._wait(until)
        return True

    async def drain(self, until: float) -> None:
        """Wait while too much of what was written has not left. Raises SilentError, OSError."""
        while self._full and not self.lost:
            await self._wait(until)
        if self.lost:
            raise self._error if isinstance(self._error, OSError) else ConnectionResetError("connection lost")

    def interrupt(self, error: Exception) -> None:
        """Raise `error` where the owner waits, if it does."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    async def finish(self, linger_s: float) -> None:
        """Close behind what was written, and wait until it has left, for `linger_s` seconds at most."""
        if self.lost:
            return
        self.transport.close()
        self._closing = self.loop.create_future()
        if not self.transport.get_write_buffer_size():
            await self._closing  # that is the loop's next round
            return
        try:
            async with asyncio.timeout(linger_s):
                await self._closing
        except TimeoutError:
            self.transport.abort()

    async def _wait(self, until: float) -> None:
        # One lazy timer a connection: it looks whether the time of what is waited for is up, and sleeps for the rest.
        self._until = until
        if self._timer is None or self._timer.when() > until:
            self._cancel_timer()
            self._timer = self.loop.call_at(until, self._alarm)
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _alarm(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self.loop.time() < self._until:
            self._timer = self.loop.call_at(self._until, self._alarm)
        else:
            self._waiter.set_exception(SilentError())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- the transport's side -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes from the other end."""
        self.held += data
        if len(self.held) > _HELD_HIGH and self._reading:
            self._reading = False
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool | None:
        """The other end will send no more; it may still read."""
        self._ended = True
        self._wake()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; whoever reads or writes next will see it."""
        self.lost = True
        self._error = error
        self._cancel_timer()
        self._wake()
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._full = True

    def resume_writing(self) -> None:
        """The transport's buffer has room."""
        self._full = False
        self._wake()
