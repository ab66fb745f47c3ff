"""The wait for one thing at a time: woken by what it waits for, by its time, by an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from spamfilter.frontends.smtp.wire import SilentError, Wire

WAIT_S = 10.0


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Wire, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A wire, and a stream at its other end."""
    loop = asyncio.get_running_loop()
    wires: asyncio.Queue[Wire] = asyncio.Queue()

    def made() -> Wire:
        wire = Wire(loop)
        wires.put_nowait(wire)
        return wire

    server = await loop.create_server(made, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        wire = await wires.get()
        try:
            yield wire, reader, writer
        finally:
            writer.transport.abort()
            await wire.finish(1.0)


def soon(wire: Wire, seconds: float = WAIT_S) -> float:
    return wire.loop.time() + seconds


async def test_bytes_then_the_end() -> None:
    async with connected() as (wire, _, writer):
        writer.write(b"one")
        assert await wire.more(soon(wire))
        assert wire.held == b"one"
        assert not wire.at_end
        writer.write_eof()
        assert not await wire.more(soon(wire))
        assert not wire.at_end  # what came before is still to be read
        wire.held.clear()
        assert wire.at_end
        assert not await wire.more(soon(wire))


async def test_a_later_wait_may_be_shorter_and_each_has_its_own_time() -> None:
    async with connected() as (wire, _, writer):
        writer.write(b"x")
        assert await wire.more(soon(wire, 60.0))
        started = wire.loop.time()
        with pytest.raises(SilentError):
            await wire.more(soon(wire, 0.2))
        assert 0.15 < wire.loop.time() - started < 5
        started = wire.loop.time()
        with pytest.raises(SilentError):
            await wire.more(soon(wire, 0.4))
        assert 0.35 < wire.loop.time() - started < 5


async def test_an_interruption_reaches_the_one_who_waits_and_nobody_else() -> None:
    async with connected() as (wire, _, writer):
        wire.interrupt(RuntimeError("nobody waits"))
        waiting = asyncio.ensure_future(wire.more(soon(wire)))
        await asyncio.sleep(0)
        wire.interrupt(RuntimeError("now"))
        with pytest.raises(RuntimeError, match="now"):
            await waiting
        writer.write(b"x")
        assert await wire.more(soon(wire))


async def test_what_nobody_takes_is_not_read_for_ever() -> None:
    async with connected() as (wire, _, writer):
        sending = asyncio.ensure_future(_send(writer, b"x" * (32 * 2**20)))
        await asyncio.sleep(0.5)
        assert len(wire.held) < 2**20
        total = 0
        while total < 32 * 2**20:
            total += len(wire.held)
            wire.held.clear()
            if total < 32 * 2**20:
                assert await wire.more(soon(wire))
        await sending


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_draining_waits_for_the_reader_and_no_longer_than_allowed() -> None:
    async with connected() as (wire, reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        wire.transport.write(b"y" * (32 * 2**20))
        with pytest.raises(SilentError):
            await wire.drain(soon(wire, 0.2))
        draining = asyncio.ensure_future(wire.drain(soon(wire)))
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await asyncio.wait_for(reader.readexactly(32 * 2**20), WAIT_S)) == 32 * 2**20
        await draining


async def test_reading_goes_on_while_what_was_written_leaves() -> None:
    async with connected() as (wire, reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        wire.transport.write(b"y" * (32 * 2**20))
        reading = asyncio.ensure_future(wire.more(soon(wire)))
        await asyncio.sleep(0)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(reader.readexactly(32 * 2**20), WAIT_S)
        assert not reading.done()
        writer.write(b"x")
        assert await reading
        assert wire.held == b"x"


async def test_a_connection_that_is_reset_is_told_to_writer_and_reader() -> None:
    async with connected() as (wire, _, writer):
        wire.transport.write(b"y" * (32 * 2**20))
        draining = asyncio.ensure_future(wire.drain(soon(wire)))
        await asyncio.sleep(0)
        writer.transport.abort()
        with pytest.raises(OSError):
            await draining
        assert not await wire.more(soon(wire))
        assert wire.lost
        assert wire.closing


async def test_the_end_comes_when_all_has_left_but_not_later_than_allowed() -> None:
    async with connected() as (wire, reader, _):
        wire.transport.write(b"bye")
        await wire.finish(WAIT_S)
        assert wire.lost
        assert await reader.read() == b"bye"
    async with connected() as (wire, _, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        wire.transport.write(b"y" * (32 * 2**20))
        started = wire.loop.time()
        await wire.finish(0.2)
        assert wire.loop.time() - started < 5
