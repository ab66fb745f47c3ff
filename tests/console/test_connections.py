"""Connections that send nothing, or not all: the daemon does not wait for them, nor hold more than some of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from spamfilter.console import connections
from tests.console.serving import Served

HALF_A_HEAD = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HALF_A_BODY = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nname=a"
WHOLE = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.1)
    monkeypatch.setattr(connections, "PAUSE_S", 0.1)


async def connected(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", served.console.address.port)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What was said until the connection ended; fails where it does not end."""
    said = b""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            while some := await reader.read(65536):
                said += some
    return said


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, HALF_A_BODY, WHOLE + HALF_A_HEAD], ids=range(4))
@pytest.mark.usefixtures("impatient")
async def test_who_does_not_go_on_is_cut_off(served: Served, sent: bytes) -> None:
    reader, writer = await connected(served)
    writer.write(sent)
    said = await ended(reader)
    assert (b" 200 " in said) is sent.startswith(WHOLE)
    writer.close()


@pytest.mark.usefixtures("impatient")
async def test_a_head_that_trickles_is_not_waited_for_longer(served: Served) -> None:
    reader, writer = await connected(served)
    ending = asyncio.create_task(ended(reader))
    writer.write(HALF_A_HEAD)
    while not ending.done():
        writer.write(b"X-More: 1\r\n")
        await asyncio.wait({ending}, timeout=0.02)
    assert ending.result() == b""
    writer.close()


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_goes_on_and_an_answer_that_takes_long_are_waited_for(served: Served) -> None:
    asked = asyncio.Event()
    score = served.engine.score

    async def slow(message: object) -> object:
        asked.set()
        await asyncio.sleep(0.3)
        return await score(message)  # type: ignore[arg-type]

    served.engine.score = slow  # type: ignore[method-assign, assignment]

    async def body() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"hello "
            await asyncio.sleep(0.03)

    client = await served.client()
    answer = await client.post("/v1/scan", content=body(), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200 and asked.is_set()


async def test_a_flood_of_connections_is_not_held(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_HELD", 5)
    flood = [await connected(served) for _ in range(8)]
    for reader, _ in flood[5:]:
        assert await ended(reader) == b""
    _, writer = flood[0]
    writer.close()
    reader, writer = flood[1]
    writer.write(WHOLE)
    assert b" 200 " in await reader.readline()
    for _, one in flood:
        one.close()
