"""Streams of events: they go out as they come, and end with whatever ends first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.console import app, live
from spamfilter.console.page import needs
from spamfilter.console.security.roles import Role
from tests.console.conftest import Serve
from tests.console.serving import Served

ended = asyncio.Event()


async def counting() -> AsyncIterator[Mapping[str, Any]]:
    """One event, then nothing for ever."""
    try:
        yield {"count": 1}
        await asyncio.Event().wait()
    finally:
        ended.set()


async def three() -> AsyncIterator[Mapping[str, Any]]:
    for count in range(3):
        yield {"text": f"line\n{count}"}


@needs(Role.VIEWER)
async def forever(request: Request) -> Response:
    return live.stream(request, counting())


@needs(Role.VIEWER)
async def brief(request: Request) -> Response:
    return live.stream(request, three())


@pytest.fixture
async def served(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Served:
    """With two streams."""
    ended.clear()
    monkeypatch.setattr(app, "ROUTES", (Route("/forever", forever), Route("/brief", brief), *app.ROUTES))
    return await serve()


async def test_events_are_json_and_end_with_their_source(served: Served) -> None:
    answer = await (await served.client("viewer")).get("/brief")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "".join(f'data: {{"text":"line\\n{count}"}}\n\n' for count in range(3))


async def test_an_open_stream_does_not_hold_up_the_stop(served: Served) -> None:
    client = await served.client("viewer")
    async with client.stream("GET", "/forever") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == 'data: {"count":1}'
        async with asyncio.timeout(10):  # well below the grace
            await served.console.stop(60.0)
        assert [line async for line in lines if line] == []
    assert ended.is_set()


async def test_a_browser_that_goes_ends_the_source(served: Served) -> None:
    client = await served.client("viewer")
    async with client.stream("GET", "/forever") as answer:
        await anext(answer.aiter_lines())
    async with asyncio.timeout(10):
        await ended.wait()


async def test_silence_is_filled_with_comments(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "KEEP_ALIVE_S", 0.01)
    client = await served.client("viewer")
    async with client.stream("GET", "/forever") as answer:
        lines = answer.aiter_lines()
        assert [await anext(lines) for _ in range(4)] == ['data: {"count":1}', "", ": ", ""]
