"""Blocking work of pages, in threads of their own: no mail waits for a thread that a page holds."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

MOST_THREADS = 8
_threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="console")
P = ParamSpec("P")
T = TypeVar("T")


async def aside(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """As `asyncio.to_thread`, whose few threads are those that deliver mail: some pages wait for a next hop's reply."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(context.run, call, *args, **kwargs))
