"""Connections to the next hop between sessions: used again when clean, never when anything of a client is in them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from spamfilter.frontends.smtp.keep import Keep, Kept
from spamfilter.frontends.smtp.upstream import SmtpNextHop
from spamfilter.verdict import Action, Disposition
from tests.frontends.smtp.dialogue import HAM, SPAM, WAIT_S, Client, Relay, relay
from tests.frontends.smtp.scripted_hop import Do, ScriptedHop, Step

KEEP = {"keep_connections": 2, "keep_idle_s": 30.0, "keep_messages": 3}
XFORWARD = b"XFORWARD NAME=spike.example ADDR=192.0.2.7"


async def one_session(running: Relay, content: bytes = HAM) -> bytes:
    """A session of one message that ends with QUIT; the reply to the message."""
    client = await running.client()
    await client.begin()
    reply = await client.data(content)
    await quit_(client)
    return reply


async def quit_(client: Client) -> None:
    assert (await client.ask(b"QUIT")).startswith(b"221 ")
    assert await client.at_end()


async def test_one_connection_serves_many_sessions(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        for _ in range(3):
            assert (await one_session(running)).startswith(b"250")
        assert hop.connections == 1
        assert hop.verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3, "QUIT"]  # three messages are its share
        assert (await one_session(running)).startswith(b"250")
        assert hop.connections == 2
        assert len(hop.messages) == 4


async def test_what_is_kept_is_left_with_quit_when_the_frontend_stops(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        await one_session(running)
        assert hop.verbs[-1] == "DATA"
        await running.frontend.stop(WAIT_S)
        await asyncio.wait_for(hop.ended.get(), WAIT_S)
        assert hop.verbs[-1] == "QUIT"


async def test_an_idle_connection_is_left_in_time(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, **{**KEEP, "keep_idle_s": 0.2}) as running:
        await one_session(running)
        assert hop.verbs[-1] == "DATA"
        await asyncio.wait_for(hop.ended.get(), WAIT_S)
        assert hop.verbs[-1] == "QUIT"


async def test_no_more_are_kept_than_allowed(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        clients = [await running.client() for _ in range(4)]
        for client in clients:
            await client.begin()
        assert hop.connections == 4
        for client in clients:
            assert (await client.data(HAM)).startswith(b"250")
            await quit_(client)
        for _ in range(2):
            await asyncio.wait_for(hop.ended.get(), WAIT_S)
        assert hop.verbs.count("QUIT") == 2


@pytest.mark.parametrize("stage", ["RCPT", "DATA", "DOT"])
async def test_one_in_which_something_was_refused_is_not_kept(tmp_path: Path, hop: ScriptedHop, stage: str) -> None:
    hop.steps[stage] = [b"550 5.7.1 No"]
    async with relay(tmp_path, hop, **KEEP) as running:
        client = await running.client()
        assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith(b"250")
        if (await client.ask(b"RCPT TO:<b@example.net>")).startswith(b"250"):
            assert (await client.data(HAM)).startswith(b"550")
        await quit_(client)
        assert (await one_session(running)).startswith(b"250")
        assert hop.connections == 2


async def test_one_in_which_a_client_was_named_is_not_kept(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        assert (await one_session(running)).startswith(b"250")
        client = await running.client()
        assert (await client.ask(XFORWARD)).startswith(b"250")
        await client.begin()
        assert (await client.data(HAM)).startswith(b"250")
        await quit_(client)
        await asyncio.wait_for(hop.ended.get(), WAIT_S)
        assert hop.connections == 2  # nor was XFORWARD said on the kept one: dead, it would have lost the message
        assert (await one_session(running)).startswith(b"250")
        assert hop.verbs.count("XFORWARD") == 1
        assert hop.connections == 2


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("where", ["mail", "data"])
async def test_one_within_a_transaction_is_not_kept(tmp_path: Path, hop: ScriptedHop, where: str, how: str) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        client = await running.client()
        await client.begin()
        if where == "data":
            assert (await client.ask(b"DATA")).startswith(b"354")
            await client.send(HAM)
        if how == "abort":
            client.writer.transport.abort()
        else:
            client.writer.close()
        await asyncio.wait_for(hop.ended.get(), WAIT_S)
        assert (await one_session(running)).startswith(b"250")
        assert hop.connections == 2
        assert len(hop.messages) == 1


async def test_a_message_that_was_not_passed_on_is_given_up_first(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, spam=Action.REJECT, **KEEP) as running:
        assert (await one_session(running, SPAM)).startswith(b"550")
        assert (await one_session(running)).startswith(b"250")
        assert hop.connections == 1
        assert hop.verbs == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("how", [Do.CLOSE, Do.RESET, b"421 4.4.2 idle too long"], ids=["close", "reset", "421"])
async def test_a_kept_one_found_dead_at_mail_is_replaced_once(tmp_path: Path, hop: ScriptedHop, how: Step) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        await one_session(running)
        hop.steps["MAIL"] = [how]
        assert (await one_session(running)).startswith(b"250")
        assert hop.connections == 2
        hop.steps["MAIL"] = [how, how]
        client = await running.client()
        assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith((b"451 4.4.2", b"421"))
        assert hop.connections == 3
        assert len(hop.messages) == 2


@pytest.mark.parametrize("how", [Do.CLOSE, Do.RESET], ids=["close", "reset"])
async def test_only_a_loss_that_somebody_feels_is_a_warning(tmp_path: Path, hop: ScriptedHop, how: Step) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        await one_session(running)
        hop.steps["MAIL"] = [how]
        with capture_logs() as logs:
            assert (await one_session(running)).startswith(b"250")
        assert [log["log_level"] for log in logs if log["event"] == "next_hop_lost"] == ["debug"]
        hop.steps["DATA"] = [how]
        with capture_logs() as logs:
            assert (await one_session(running)).startswith(b"451")
        assert [log["log_level"] for log in logs if log["event"] == "next_hop_lost"] == ["warning"]


async def test_one_that_only_told_ehlo_what_is_offered_is_not_used_for_xforward(
    tmp_path: Path, hop: ScriptedHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        await one_session(running)
        monkeypatch.setattr(SmtpNextHop, "known", None)
        client = await running.client()
        assert hop.connections == 1
        assert (await client.ask(XFORWARD)).startswith(b"250")
        assert hop.connections == 2
        await quit_(client)
        assert (await one_session(running)).startswith(b"250")
        assert hop.connections == 2  # the first one was left as it was


@pytest.mark.parametrize("stage", ["RCPT", "DATA", "DOT"])
async def test_behind_mail_nothing_is_tried_again(tmp_path: Path, hop: ScriptedHop, stage: str) -> None:
    async with relay(tmp_path, hop, **KEEP) as running:
        await one_session(running)
        hop.steps[stage] = [Do.CLOSE]
        client = await running.client()
        assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith(b"250")
        reply = await client.ask(b"RCPT TO:<b@example.net>")
        if stage != "RCPT":
            reply = await client.data(HAM)
        assert reply.startswith(b"451 4.4.2 ")
        assert hop.connections == 1
        assert running.dispositions[1:] == ([] if stage == "RCPT" else [Disposition.NEXT_HOP_LOST])


@pytest.mark.parametrize("farewell", [b"", b"421 4.4.2 idle too long\r\n", b"250 2.0.0 out of turn\r\n"])
async def test_one_that_spoke_or_ended_while_idle_is_not_used(tmp_path: Path, farewell: bytes) -> None:
    said, over = asyncio.Event(), asyncio.Semaphore(0)
    commands: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = not commands
        writer.write(b"220 hop.test\r\n")
        while line := await reader.readline():
            commands.append(line[:4])
            writer.write(b"354 go\r\n" if line.startswith(b"DATA") else b"250 ok\r\n")
            if line.startswith(b"DATA"):
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
                if first:
                    await asyncio.wait_for(said.wait(), WAIT_S)
                    writer.write(farewell)
                    if b"250" not in farewell:
                        break
        writer.close()
        await writer.wait_closed()
        over.release()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    hop = ScriptedHop(port=server.sockets[0].getsockname()[1])
    async with server, relay(tmp_path, hop, **KEEP) as running:
        assert await one_session(running) == b"250 taken\r\n"
        said.set()
        await asyncio.sleep(0.1)
        assert await one_session(running) == b"250 taken\r\n"
        assert commands.count(b"EHLO") == 2
        await running.frontend.stop(WAIT_S)
        for _ in range(2):
            await asyncio.wait_for(over.acquire(), WAIT_S)


class Idle:
    """Stands for a conversation."""

    messages = 0

    def __init__(self) -> None:
        self.quiet = True
        self.closed = False

    def close(self) -> None:
        self.closed = True


async def test_the_latest_used_comes_first_and_the_dead_are_closed() -> None:
    kept: Kept[Idle] = Kept(Keep(most=3, idle_s=30.0, messages=100))
    conversations = [Idle() for _ in range(4)]
    assert [kept.put(one) for one in conversations] == [True, True, True, False]
    conversations[2].quiet = False
    assert kept.take() is conversations[1]
    assert [one.closed for one in conversations] == [False, False, True, False]
    kept.close()
    assert conversations[0].closed
    assert not kept.put(conversations[3])
    assert kept.take() is None
