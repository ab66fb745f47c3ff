"""How many bytes of mail may be held at one time, whatever the number of workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """Lets in as much as fits into `limit` bytes; a single larger piece is let in alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def held(self, size: int) -> AsyncIterator[None]:
        """Wait until `size` bytes fit, and hold them for the block."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._held == 0 or self._held + size <= self._limit)
            self._held += size
        try:
            yield
        finally:
            self._held -= size
            async with self._freed:
                self._freed.notify_all()
