"""The final dot: who answers, who has the message, and what the log says."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

import pytest

from spamfilter.frontends.smtp.connection import Connection
from spamfilter.message import Message
from spamfilter.store.maildir import Maildir
from spamfilter.verdict import Action, Disposition, Failure, FailureKind, Score
from tests.fakes import FakeEngine, score
from tests.frontends.smtp.dialogue import HAM, SPAM, WAIT_S, Client, body, relay
from tests.frontends.smtp.scripted_hop import DEFAULTS, Do, ScriptedHop


class GatedEngine(FakeEngine):
    """Says that it has begun, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def score(self, message: Message) -> Score | Failure:
        self.begun.set()
        await self.gate.wait()
        return await super().score(message)


async def test_the_next_hops_own_reply_is_relayed(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin()
        assert await client.data(HAM) == DEFAULTS["DOT"] + b"\r\n"
        assert running.dispositions == [Disposition.DELIVERED]
        assert "queued as HOP42" in running.log.settled[0][2]


@pytest.mark.parametrize(
    ("action", "answer", "disposition"),
    [
        (Action.REJECT, b"550 5.7.1 ", Disposition.REJECTED),
        (Action.TEMPFAIL, b"451 4.7.1 ", Disposition.TEMPFAILED),
        (Action.QUARANTINE, b"250 2.0.0 ", Disposition.QUARANTINED),
    ],
)
async def test_the_next_hop_never_sees_what_is_not_for_it(
    tmp_path: Path, hop: ScriptedHop, action: Action, answer: bytes, disposition: Disposition
) -> None:
    async with relay(tmp_path, hop, spam=action) as running:
        client = await running.client()
        await client.begin()
        reply = await client.data(SPAM)
        assert reply.startswith(answer)
        assert running.engine.seen[0].id.encode() in reply
        assert running.dispositions == [disposition]
        assert hop.messages == []
        assert hop.verbs == ["EHLO", "MAIL", "RCPT", "RSET"]
        await client.begin(mail=b"<second@example.org>")
        assert (await client.data(HAM)).startswith(b"250")
        assert [message.mail for message in hop.messages] == [b"MAIL FROM:<second@example.org>"]
        assert hop.connections == 1


@pytest.mark.parametrize("rset", [b"500 no", Do.CLOSE, Do.HANG], ids=["refused", "close", "hang"])
async def test_a_next_hop_that_will_not_reset_is_left(tmp_path: Path, hop: ScriptedHop, rset: bytes | Do) -> None:
    hop.steps["RSET"] = [rset]
    async with relay(tmp_path, hop, spam=Action.REJECT, reply_timeout_s=0.5) as running:
        client = await running.client()
        await client.begin()
        assert (await client.data(SPAM)).startswith(b"550 5.7.1 ")
        await client.begin()
        assert (await client.data(HAM)).startswith(b"250")
        assert hop.connections == 2


async def test_quarantine_keeps_the_message_and_all_that_its_release_needs(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, spam=Action.QUARANTINE) as running:
        client = await running.client()
        assert (await client.ask(b"MAIL FROM:<a@example.org> RET=HDRS ENVID=x")).startswith(b"250")
        assert (await client.ask(b"RCPT TO:<b@example.net> NOTIFY=NEVER")).startswith(b"250")
        assert (await client.data(SPAM)).startswith(b"250 2.0.0 ")
        message = running.engine.seen[0]
        (kept,) = running.files(running.quarantine)
        assert message.id in kept.name
        assert running.log.settled[0][2] == kept.name
        raw = kept.read_bytes()
        assert raw.startswith(b"Received: ")
        assert b"\r\nX-Spam-Flag: YES\r\n" in raw
        assert body(raw) == body(SPAM)
        envelope = json.loads(Maildir(running.quarantine, "mx.test").envelope_path(message.id).read_text("utf-8"))
        assert envelope["mail_from"] == "a@example.org"
        assert envelope["mail_parameters"] == ["RET=HDRS", "ENVID=x"]
        assert envelope["rcpt_tos"] == [{"address": "b@example.net", "parameters": ["NOTIFY=NEVER"]}]
        assert envelope["sha256"] == hashlib.sha256(SPAM).hexdigest()
        assert envelope["peer"]["name"] == "client.test"
        assert (envelope["label"], envelope["probability"]) == ("spam", 0.99)


@pytest.mark.parametrize(
    ("number", "answer"), [(errno.ENOSPC, b"452 4.3.1 "), (errno.EACCES, b"451 4.3.0 ")], ids=["full", "forbidden"]
)
async def test_a_quarantine_that_cannot_be_written_is_not_said_to_be(
    tmp_path: Path, hop: ScriptedHop, monkeypatch: pytest.MonkeyPatch, number: int, answer: bytes
) -> None:
    def refuse(self: Maildir, message_id: str, parts: Iterable[bytes], *, envelope: object = None) -> Path:
        raise OSError(number, "no")

    monkeypatch.setattr(Maildir, "deliver", refuse)
    async with relay(tmp_path, hop, spam=Action.QUARANTINE) as running:
        client = await running.client()
        await client.begin()
        assert (await client.data(SPAM)).startswith(answer)
        assert running.dispositions == [Disposition.FAILED]
        assert hop.messages == []


@pytest.mark.parametrize(
    ("failure", "answer", "disposition", "arrive"),
    [
        (FailureKind.TIMEOUT, b"250", Disposition.DELIVERED, 1),
        (FailureKind.OVERLOAD, b"451 4.7.1", Disposition.TEMPFAILED, 0),
        (FailureKind.ENGINE_DOWN, b"451 4.7.1", Disposition.TEMPFAILED, 0),
    ],
)
async def test_unscanned_mail_is_passed_and_says_so_or_waits(
    tmp_path: Path, hop: ScriptedHop, failure: FailureKind, answer: bytes, disposition: Disposition, arrive: int
) -> None:
    async with relay(tmp_path, hop, engine=FakeEngine(Failure(failure))) as running:
        client = await running.client()
        await client.begin()
        assert (await client.data(HAM)).startswith(answer)
        assert running.dispositions == [disposition]
        assert len(hop.messages) == arrive
        assert all(b"X-Spam-Status: unscanned, reason=timeout\r\n" in m.content for m in hop.messages)


async def test_accept_delivers_without_our_verdict_and_without_a_forged_one(tmp_path: Path, hop: ScriptedHop) -> None:
    forged = b"X-Spam-Status: No,\r\n really\r\n" + SPAM
    async with relay(tmp_path, hop, spam=Action.ACCEPT) as running:
        client = await running.client()
        await client.begin()
        assert (await client.data(forged)).startswith(b"250")
    assert b"X-Spam" not in hop.messages[0].content
    assert hop.messages[0].content.endswith(SPAM)


@pytest.mark.parametrize(("number", "answer"), [(5, b"250"), (6, b"554 5.4.6 ")])
async def test_loops_end(tmp_path: Path, hop: ScriptedHop, number: int, answer: bytes) -> None:
    async with relay(tmp_path, hop, max_received=5) as running:
        client = await running.client()
        await client.begin()
        assert (await client.data(b"Received: by x\r\n" * number + HAM)).startswith(answer)
        assert len(hop.messages) == (number == 5)


@pytest.mark.parametrize(("how", "seen_by"), [("close", "eof_received"), ("abort", "connection_lost")])
async def test_a_client_that_goes_while_we_scan_has_not_sent(
    tmp_path: Path, hop: ScriptedHop, monkeypatch: pytest.MonkeyPatch, how: str, seen_by: str
) -> None:
    engine, noticed = GatedEngine(), asyncio.Event()
    original = getattr(Connection, seen_by)

    def notice(connection: Connection, *arguments: object) -> object:
        noticed.set()
        return original(connection, *arguments)

    monkeypatch.setattr(Connection, seen_by, notice)
    async with relay(tmp_path, hop, engine=engine) as running:
        client = await running.client()
        await client.begin()
        assert (await client.ask(b"DATA")).startswith(b"354")
        await client.send(HAM + b".\r\n")
        await engine.begun.wait()
        if how == "abort":  # SO_LINGER 0: the client's system sends RST
            client.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        client.writer.transport.abort()
        await asyncio.wait_for(noticed.wait(), WAIT_S)
        engine.gate.set()
        await asyncio.wait_for(hop.ended.get(), WAIT_S)
        await running.frontend.stop(WAIT_S)
        assert running.dispositions == [Disposition.ABANDONED]
        assert hop.messages == []


async def test_a_client_that_goes_while_the_next_hop_answers_is_settled_as_it_ended(tmp_path: Path) -> None:
    async with ScriptedHop() as hop, relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin()
        goodbye: list[asyncio.StreamWriter] = [client.writer]

        def dot(_: bytes) -> bytes:
            goodbye.pop().transport.abort()
            return b"250 2.0.0 Taken"

        hop.steps["DOT"] = dot
        await client.send(b"DATA\r\n" + HAM + b".\r\n")
        await asyncio.wait_for(hop.ended.get(), WAIT_S)
        await running.frontend.stop(WAIT_S)
        assert running.dispositions == [Disposition.DELIVERED]


async def test_a_client_that_half_closes_behind_its_quit_is_served(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.connect()
        await client.send(
            b"EHLO client.test\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
            + HAM
            + b".\r\nQUIT\r\n"
        )
        client.writer.write_eof()
        codes = [(await client.reply())[:3] for _ in range(7)]
        assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
        assert await client.at_end()
        assert len(hop.messages) == 1


async def test_a_mistake_of_ours_is_temporary_and_forgets_the_transaction(
    tmp_path: Path, hop: ScriptedHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin()
        with monkeypatch.context() as patch:
            patch.setattr("spamfilter.headers.mark", lambda *_: 1 / 0)
            assert (await client.data(HAM)).startswith(b"451 4.3.0 ")
        assert running.dispositions == [Disposition.FAILED]
        assert (await client.ask(b"RCPT TO:<c@example.net>")).startswith(b"503")
        assert await _delivers(client)
        assert len(hop.messages) == 1


async def _delivers(client: Client) -> bool:
    await client.begin()
    return (await client.data(HAM)).startswith(b"250")


async def test_messages_of_many_sessions_at_once_do_not_mix(tmp_path: Path, hop: ScriptedHop) -> None:
    engine = FakeEngine(lambda message: score(0.99 if b"odd" in message.raw else 0.01))
    async with relay(tmp_path, hop, engine=engine, spam=Action.REJECT) as running:

        async def one(number: int) -> bytes:
            client = await running.client()
            word = b"odd" if number % 2 else b"even"
            await client.begin(b"<r%d@example.net>" % number)
            return await client.data(b"Subject: %s\r\n\r\n%d\r\n" % (word, number))

        replies = await asyncio.gather(*(one(number) for number in range(20)))
        assert [reply[:3] for reply in replies] == [b"250", b"550"] * 10
        assert sorted(m.rcpts[0] for m in hop.messages) == sorted(
            b"RCPT TO:<r%d@example.net>" % n for n in range(0, 20, 2)
        )
        assert all(m.rcpts[0] == b"RCPT TO:<r%s@example.net>" % body(m.content).strip() for m in hop.messages)
