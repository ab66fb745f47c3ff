"""Blocking work of pages: in threads of its own, so that mail finds the daemon's threads free."""

from __future__ import annotations

import asyncio
import contextvars
import threading

from spamfilter.console.aside import MOST_THREADS, aside


async def test_pages_that_block_leave_the_daemons_threads_alone() -> None:
    go_on = threading.Event()
    blocked = [asyncio.ensure_future(aside(go_on.wait)) for _ in range(8 * MOST_THREADS)]
    try:
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(lambda: "delivered") == "delivered"
        assert not any(one.done() for one in blocked)
    finally:
        go_on.set()
    assert all(await asyncio.gather(*blocked))


async def test_it_takes_arguments_and_context_along() -> None:
    told = contextvars.ContextVar("told", default="")
    told.set("here")
    assert await aside(lambda *args, **more: (args, more, told.get()), 1, two=2) == ((1,), {"two": 2}, "here")
