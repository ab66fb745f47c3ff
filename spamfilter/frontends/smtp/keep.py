"""Connections to the next hop that outlive their session, because a new one for each message costs more than the rest.

What is kept is clean: no transaction is open in it, nothing in it was refused (servers count mistakes), and no client
was named in it with XFORWARD. It is not kept for long: servers close what is idle, and each kept connection is one that
the server cannot give to others.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Keep:
    """How many connections to the next hop are kept idle, for how many seconds, and to how many messages in all."""

    most: int
    idle_s: float
    messages: int


class Keepable(Protocol):
    """A conversation as far as keeping it matters."""

    @property
    def messages(self) -> int:
        """How many it has carried."""
        ...

    @property
    def quiet(self) -> bool:
        """True when it is open and nothing unexpected came."""
        ...

    def close(self) -> None:
        """Say goodbye."""
        ...


T = TypeVar("T", bound=Keepable)


class Kept(Generic[T]):
    """The idle ones, the latest used on top; one timer for all, and none while there are none."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._idle: list[tuple[float, T]] = []  # since when, in order
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def put(self, conversation: T) -> bool:
        """Keep it; False, and it is the caller's to close, when it is used up or there is no room."""
        used_up = conversation.messages >= self._keep.messages or not conversation.quiet
        if self._closed or used_up or len(self._idle) >= self._keep.most or self._keep.idle_s <= 0:
            return False
        self._idle.append((time.monotonic(), conversation))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._keep.idle_s, self._sweep)
        return True

    def take(self) -> T | None:
        """The one that was used last and is still good, or None."""
        while self._idle:
            since, conversation = self._idle.pop()
            if conversation.quiet and time.monotonic() - since < self._keep.idle_s:
                return conversation
            conversation.close()
        return None

    def close(self) -> None:
        """Close all, and keep no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            self._idle.pop()[1].close()

    def _sweep(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._idle and now - self._idle[0][0] >= self._keep.idle_s:
            self._idle.pop(0)[1].close()
        for gone in [kept for _, kept in self._idle if not kept.quiet]:
            gone.close()
        self._idle = [(since, kept) for since, kept in self._idle if kept.quiet]
        if self._idle:
            due = self._keep.idle_s - (now - self._idle[0][0])
            self._timer = asyncio.get_running_loop().call_later(max(due, 0.01), self._sweep)
