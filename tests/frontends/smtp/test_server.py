"""Limits on connections and bytes, and an end that drops nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from spamfilter import config
from spamfilter.frontends.smtp import SmtpFrontend
from spamfilter.headers import Markup
from spamfilter.verdict import Disposition
from tests.fakes import FakeEngine, fake_scanner
from tests.frontends.smtp.dialogue import HAM, WAIT_S, relay
from tests.frontends.smtp.scripted_hop import Do, ScriptedHop
from tests.frontends.smtp.test_custody import GatedEngine


async def test_one_connection_too_many_is_sent_away_and_may_come_again(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, max_sessions=2) as running:
        first, _ = await running.client(), await running.client()
        life = next(iter(running.frontend._sessions))
        third = await running.connect()
        assert (await third.reply()).startswith(b"421 4.7.0 ")
        assert await third.at_end()
        await first.ask(b"QUIT")
        assert await first.at_end()
        await asyncio.wait_for(life, WAIT_S)
        await asyncio.sleep(0)  # its end is heard of
        await running.client()


async def test_bytes_in_flight_are_bounded(tmp_path: Path, hop: ScriptedHop) -> None:
    engine = GatedEngine()
    big = b"Subject: big\r\n\r\n" + b"x" * 700_000 + b"\r\n"
    async with relay(tmp_path, hop, engine=engine, max_in_flight_mib=1) as running:
        one, other = await running.client(), await running.client()
        await one.begin()
        await one.send(b"DATA\r\n" + big + b".\r\n")
        await engine.begun.wait()
        assert running.frontend.bytes_in_flight == len(big)
        await other.begin()
        assert (await other.data(big)).startswith(b"451 4.3.1 ")
        assert running.frontend.bytes_in_flight == len(big)
        engine.gate.set()
        assert (await one.reply()).startswith(b"354")
        assert (await one.reply()).startswith(b"250")
        await other.begin()
        assert (await other.data(big)).startswith(b"250")
        assert len(hop.messages) == 2


async def test_stop_sends_idle_sessions_away_and_lets_a_message_end(tmp_path: Path, hop: ScriptedHop) -> None:
    engine = GatedEngine()
    async with relay(tmp_path, hop, engine=engine) as running:
        idle, busy = await running.client(), await running.client()
        await busy.begin()
        await busy.send(b"DATA\r\n" + HAM + b".\r\n")
        await engine.begun.wait()
        stopping = asyncio.create_task(running.frontend.stop(WAIT_S))
        assert (await idle.reply()).startswith(b"421 4.3.2 ")
        assert await idle.at_end()
        with pytest.raises(ConnectionRefusedError):
            await running.connect()
        assert not stopping.done()
        engine.gate.set()
        assert [(await busy.reply())[:3] for _ in range(3)] == [b"354", b"250", b"421"]
        assert await busy.at_end()
        await stopping
        assert len(hop.messages) == 1
        assert running.dispositions == [Disposition.DELIVERED]


async def test_stop_lets_a_transaction_end(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin()
        stopping = asyncio.create_task(running.frontend.stop(WAIT_S))
        await asyncio.sleep(0)
        assert (await client.data(HAM)).startswith(b"250")
        assert (await client.reply()).startswith(b"421 4.3.2 ")
        await stopping


@pytest.mark.parametrize("where", ["command", "data", "scan", "dot"])
async def test_after_the_grace_what_has_no_answer_stays_with_its_sender(
    tmp_path: Path, hop: ScriptedHop, where: str
) -> None:
    engine = GatedEngine() if where == "scan" else FakeEngine()
    hop.steps["DOT"] = Do.HANG
    async with relay(tmp_path, hop, engine=engine) as running:
        client = await running.client()
        await client.begin()
        if where != "command":
            assert (await client.ask(b"DATA")).startswith(b"354")
        if where in ("scan", "dot"):
            await client.send(HAM + b".\r\n")
        if isinstance(engine, GatedEngine):
            await engine.begun.wait()
        if where == "dot":
            while await hop.reached.get() != "DOT":
                pass
        await running.frontend.stop(0)
        assert (await client.reply()).startswith(b"421 4.3.2 ")
        assert await client.at_end()
        assert len(hop.messages) == (where == "dot")
        assert running.dispositions == ([Disposition.FAILED] if where == "dot" else [])


async def test_stop_without_start_and_twice(tmp_path: Path) -> None:
    settings = config.load(None, environ={}, smtp__listen="127.0.0.1:0").smtp
    frontend = SmtpFrontend(settings, fake_scanner(), Markup("mx.test"), tmp_path / "m", tmp_path / "q")
    await frontend.stop(0)
    await frontend.start()
    await frontend.stop(0)
    await frontend.stop(0)


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    settings = config.load(None, environ={}, smtp__listen=f"unix:{path}").smtp
    frontend = SmtpFrontend(settings, fake_scanner(), Markup("mx.test"), tmp_path / "m", tmp_path / "q")
    await frontend.start()
    try:
        assert frontend.address.path == str(path)
        reader, writer = await asyncio.open_unix_connection(path)
        assert (await reader.readline()).startswith(b"220 ")
        writer.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.d>\r\nDATA\r\n" + HAM + b".\r\nQUIT\r\n")
        text = await reader.read()
        assert b"250 2.0.0 Ok: delivered as " in text
        writer.close()
        await writer.wait_closed()
    finally:
        await frontend.stop(5)
    assert not path.exists()
    (mail,) = (tmp_path / "m" / "new").iterdir()
    assert b"from x (local socket) by" in mail.read_bytes()


async def test_an_address_in_use_is_an_error(tmp_path: Path, hop: ScriptedHop) -> None:
    settings = config.load(None, environ={}, smtp__listen=f"127.0.0.1:{hop.port}").smtp
    frontend = SmtpFrontend(settings, fake_scanner(), Markup("mx.test"), tmp_path / "m", tmp_path / "q")
    with pytest.raises(OSError, match="in use"):
        await frontend.start()
    await frontend.stop(0)


def test_this_frontend_never_imports_the_stock_proxy() -> None:
    assert "aiosmtpd.handlers" not in sys.modules
