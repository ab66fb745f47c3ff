"""Connections that cost the daemon little: so many at a time, and none that is waited for without end.

The daemon's files are mail's, too: a stranger who opens connections and says nothing must not use them up. uvicorn
itself waits for ever for a request that was begun.
"""

from __future__ import annotations

import asyncio
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_ANSWERED = 200
"""Beyond it a request is answered 503."""
MOST_HELD = 250
"""Beyond it a connection is dropped at once."""
HEAD_S = 20.0
"""How long a request's line and fields may take, and how long a new connection may say nothing."""
PAUSE_S = 30.0
"""The longest pause within a body."""


class Connection(H11Protocol):
    """uvicorn's, with a limit to every wait for the client; for the server's answer there is none."""

    _limit: asyncio.TimerHandle | None = None
    _of_head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if len(self.connections) > MOST_HELD:
            self.transport.abort()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Limit the wait for what is missing of a request."""
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._go_on()
            self._limit = self.loop.call_later(PAUSE_S, self._paused)
        elif state is not h11.IDLE:
            self._go_on()
        elif not self._of_head:  # one that trickles gets no more time
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._go_on()
        self._of_head = True
        self._limit = self.loop.call_later(HEAD_S, self.transport.abort)

    def _paused(self) -> None:
        if self.flow.read_paused:  # it is we who let it wait
            self._limit = self.loop.call_later(PAUSE_S, self._paused)
        else:
            self.transport.abort()

    def _go_on(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit, self._of_head = None, False
