"""Pages that stay live: events for the browser's EventSource, which end when the console does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from spamfilter.console.page import services

KEEP_ALIVE_S = 15.0


def stream(request: Request, events: AsyncIterator[Mapping[str, Any]]) -> StreamingResponse:
    """Send each of `events` as JSON (HTML Living Standard, server-sent events), until they, the browser or the console
    end. A comment goes out where there was nothing to send for a while, so that proxies keep the connection.
    """
    return StreamingResponse(
        _lines(events, services(request).stopping), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


async def _lines(events: AsyncIterator[Mapping[str, Any]], stopping: asyncio.Event) -> AsyncIterator[str]:
    ends = asyncio.ensure_future(stopping.wait())
    following: asyncio.Task[Mapping[str, Any] | None] = asyncio.ensure_future(_next(events))
    try:
        while True:
            await asyncio.wait({ends, following}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            if ends.done():
                return
            if not following.done():
                yield ": \n\n"
                continue
            event = following.result()
            if event is None:
                return
            yield f"data: {json.dumps(event, separators=(',', ':'))}\n\n"
            following = asyncio.ensure_future(_next(events))
    finally:
        ends.cancel()
        following.cancel()
        await asyncio.gather(ends, following, return_exceptions=True)


async def _next(events: AsyncIterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return await anext(events, None)
