"""A client that is silent, goes away, or makes no sense."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP

from spamfilter.frontends.smtp.session import Session
from tests.fakes import FakeEngine
from tests.frontends.smtp.dialogue import HAM, WAIT_S, relay
from tests.frontends.smtp.scripted_hop import ScriptedHop


@pytest.mark.parametrize("where", ["greeting", "command", "half a command", "transaction", "data"])
async def test_a_silent_client_is_dismissed(tmp_path: Path, hop: ScriptedHop, where: str) -> None:
    async with relay(tmp_path, hop, client_timeout_s=0.5) as running:
        client = await running.connect()
        if where == "greeting":
            await client.reply()
        else:
            await client.greet()
        if where == "half a command":
            await client.send(b"MAIL FR")
        if where in ("transaction", "data"):
            await client.begin()
        if where == "data":
            assert (await client.ask(b"DATA")).startswith(b"354")
            await client.send(HAM)
        assert (await client.reply()).startswith(b"421 4.4.2 ")
        assert await client.at_end()
        assert hop.messages == []
        assert running.log.settled == []


async def test_the_clients_time_does_not_run_while_we_work(tmp_path: Path, hop: ScriptedHop) -> None:
    engine = FakeEngine()
    engine.delay_s = 1.0
    async with relay(tmp_path, hop, engine=engine, client_timeout_s=0.5) as running:
        client = await running.client()
        await client.begin()
        assert (await client.data(HAM)).startswith(b"250")
        assert (await client.ask(b"NOOP")).startswith(b"250")


async def test_bytes_keep_a_slow_client_alive(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, client_timeout_s=1.0) as running:
        client = await running.client()
        await client.begin()
        assert (await client.ask(b"DATA")).startswith(b"354")
        for byte in b"slow\r\n":
            await client.send(bytes([byte]))
            await asyncio.sleep(0.2)  # six of them are longer than the timeout
        await client.send(b".\r\n")
        assert (await client.reply()).startswith(b"250")


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("where", ["greeting", "mail", "rcpt", "data", "middle"])
async def test_a_client_that_goes_takes_everything_with_it(
    tmp_path: Path, hop: ScriptedHop, where: str, how: str
) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        if where != "greeting":
            assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith(b"250")
        if where in ("rcpt", "data", "middle"):
            assert (await client.ask(b"RCPT TO:<b@example.net>")).startswith(b"250")
        if where in ("data", "middle"):
            assert (await client.ask(b"DATA")).startswith(b"354")
        if where == "middle":
            await client.send(HAM * 10_000 + b"\r\n.")
        if how == "abort":
            client.writer.transport.abort()
        else:
            client.writer.close()
        await asyncio.wait_for(hop.ended.get(), WAIT_S)  # the next hop was left
        assert hop.messages == []
        assert "DATA" not in hop.verbs
        assert running.engine.seen == []
        assert running.log.settled == []


async def test_too_many_mistakes_end_the_session(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        for _ in range(20):
            assert (await client.ask(b"WHAT")).startswith(b"500")
        assert (await client.ask(b"WHAT")).startswith(b"421 4.7.0 ")
        assert await client.at_end()


async def test_a_mistake_of_ours_within_data_ends_the_session(
    tmp_path: Path, hop: ScriptedHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin()
        monkeypatch.setattr("spamfilter.frontends.smtp.data.DataParser.feed", lambda *_: 1 / 0)
        assert (await client.ask(b"DATA")).startswith(b"354")
        assert (await client.ask(b"MAIL FROM:<evil@example.org>")).startswith(b"421 4.3.0 ")
        assert await client.at_end()
        assert hop.verbs.count("MAIL") == 1


def test_no_command_of_the_library_is_answered_by_the_library() -> None:
    assert issubclass(Session, SMTP)
    verbs = [name for name in dir(SMTP) if name.startswith("smtp_")]
    assert "smtp_DATA" in verbs
    assert [verb for verb in verbs if getattr(Session, verb) is getattr(SMTP, verb)] == []


async def test_two_clients_share_nothing_of_what_the_library_set_up(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        clients = [await running.client(), await running.client()]
        one, two = running.frontend._sessions.values()
        assert one.hostname == two.hostname == "mx.test"
        assert one.session is not two.session
        assert one.envelope is not two.envelope
        ports = {client.writer.get_extra_info("sockname")[1] for client in clients}
        assert {one.session.peer[1], two.session.peer[1]} == ports
        assert one.session.extended_smtp
        assert (await clients[0].ask(b"HELO client.test")).startswith(b"250 ")
        assert [one.session.extended_smtp, two.session.extended_smtp].count(True) == 1
        await clients[0].begin()
        assert (await clients[1].ask(b"RCPT TO:<b@example.net>")).startswith(b"503 ")
