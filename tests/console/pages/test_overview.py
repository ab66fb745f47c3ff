"""The overview: figures of the period, live for a bounded number of pages, and gone when the console is."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

from spamfilter.console.pages import overview
from tests.console.pages.mail import HAM, SPAM, decided
from tests.console.serving import Served


async def test_without_mail_it_says_what_to_do(served: Served) -> None:
    page = (await (await served.client("viewer")).get("/")).text
    assert "No mail yet" in page
    assert "There is no mail yet to compare." in page


@pytest.mark.parametrize("period", ["24h", "7d", "30d", "", "<x>"])
async def test_it_counts_what_was_decided(served: Served, period: str) -> None:
    for number in range(4):
        await decided(served, (SPAM if number == 0 else HAM) % number, kept=False)
    page = (await (await served.client("viewer")).get(f"/?period={period}")).text
    assert '<span class="value">4</span> <span class="name">messages</span>' in page
    assert '<span class="value">25.0 %</span> <span class="name">spam</span>' in page
    assert '<span class="value">100.0 %</span> <span class="name">asked of the GPT</span>' in page
    assert "<x>" not in page


async def first_event(client: httpx.AsyncClient, url: str = "/overview/events") -> str:
    async with client.stream("GET", url) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                html: str = json.loads(line.removeprefix("data: "))["html"]
                return html
    raise AssertionError("the stream ended before its first event")


async def test_an_event_holds_the_figures_as_they_are_now(served: Served) -> None:
    client = await served.client("viewer")
    await decided(served, SPAM % 1, kept=False)
    assert '<span class="value">1</span>' in await first_event(client)


async def test_a_stream_ends_when_the_console_does(served: Served) -> None:
    client = await served.client("viewer")
    async with client.stream("GET", "/overview/events") as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        stopping = asyncio.ensure_future(served.console.stop(20.0))
        begun = time.monotonic()
        async for _ in lines:
            pass
        await stopping
        assert time.monotonic() - begun < 10.0, "it was cut off by the end of the grace instead"


async def test_a_page_that_is_closed_makes_room_for_another(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MOST_STREAMS", 1)
    monkeypatch.setattr(overview, "FRESH_S", 0.05)
    client = await served.client("viewer")
    async with client.stream("GET", "/overview/events") as answer:
        await anext(answer.aiter_lines())
        assert (await client.get("/overview/events")).status_code == 503
    async with asyncio.timeout(30):
        while True:
            if await _status(client) == 200:
                break
            await asyncio.sleep(0.05)


async def _status(client: httpx.AsyncClient) -> int:
    async with client.stream("GET", "/overview/events") as answer:
        return answer.status_code


async def test_drift_is_what_the_command_says(served: Served) -> None:
    await decided(served, HAM % 1, kept=False)
    client = await served.client("viewer")
    found = (await client.get("/overview/drift")).json()
    assert found["sentence"].startswith("Too few messages to say: ")
    assert found["due"] is False


@pytest.mark.parametrize("path", ["/", "/overview/events", "/overview/drift"])
async def test_strangers_see_nothing(served: Served, path: str) -> None:
    assert (await (await served.client()).get(path)).status_code in (303, 401)
