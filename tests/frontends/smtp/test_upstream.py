"""The next hop refuses, hangs, closes, is absent: the client sees exactly that, and the session goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spamfilter.verdict import Disposition
from tests.frontends.smtp.dialogue import HAM, Client, Relay, body, relay
from tests.frontends.smtp.scripted_hop import DEFAULTS, Do, ScriptedHop, Step

TIMEOUTS: dict[str, Any] = {"reply_timeout_s": 0.5, "final_timeout_s": 0.5, "connect_timeout_s": 0.5}


async def attempt(client: Client) -> list[bytes]:
    """MAIL, RCPT, DATA and the message, as far as it goes; every reply."""
    replies = [await client.ask(b"MAIL FROM:<a@example.org>")]
    if replies[-1].startswith(b"2"):
        replies.append(await client.ask(b"RCPT TO:<b@example.net>"))
    if replies[-1].startswith(b"2"):
        replies.append(await client.data(HAM))
    return replies


async def expect_good_message(running: Relay, hop: ScriptedHop, client: Client) -> None:
    """The session's next transaction goes through, and knows nothing of the one before."""
    before = len(hop.messages)
    assert (await client.ask(b"MAIL FROM:<second@example.org>")).startswith(b"250")
    assert (await client.ask(b"RCPT TO:<second@example.net>")).startswith(b"250")
    assert (await client.data(b"Subject: second\r\n\r\nsecond\r\n")).startswith(b"250")
    assert len(hop.messages) == before + 1
    last = hop.messages[-1]
    assert (last.mail, last.rcpts) == (b"MAIL FROM:<second@example.org>", [b"RCPT TO:<second@example.net>"])
    assert body(last.content) == b"second\r\n"
    assert running.dispositions[-1] is Disposition.DELIVERED


REFUSALS = [b"451 4.2.1 Later", b"550 5.1.1 No\twith  blanks ", b"550-5.7.1 Two\r\n550-\r\n550 5.7.1 Lines \xc3\xa9"]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["4xx", "5xx", "lines"])
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_a_refusal_is_relayed_verbatim_and_leaves_nothing(
    tmp_path: Path, hop: ScriptedHop, stage: str, refusal: bytes
) -> None:
    hop.steps[stage] = [refusal]
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        replies = await attempt(client)
        assert replies[-1] == refusal + b"\r\n"
        assert all(reply.startswith(b"250") for reply in replies[:-1])
        assert running.dispositions == ([Disposition.REFUSED] if stage in ("DATA", "DOT") else [])
        if stage == "RCPT":
            after = b"451" if refusal.startswith(b"4") else b"554"
            assert (await client.ask(b"DATA")).startswith(after)
        assert not list(tmp_path.rglob("new/*"))
        await expect_good_message(running, hop, client)


async def test_mixed_recipients(tmp_path: Path, hop: ScriptedHop) -> None:
    answers = {b"good": b"250 2.1.5 G", b"gone": b"550 5.1.1 X", b"later": b"450 4.2.0 L", b"also": b"251 2.1.5 A"}

    def rcpt(line: bytes) -> bytes:
        return answers[line.partition(b"<")[2].partition(b"@")[0]]

    hop.steps["RCPT"] = rcpt
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith(b"250")
        for name, answer in answers.items():
            assert await client.ask(b"RCPT TO:<" + name + b"@example.net>") == answer + b"\r\n"
        assert (await client.data(HAM)) == DEFAULTS["DOT"] + b"\r\n"
        assert hop.messages[0].rcpts == [b"RCPT TO:<good@example.net>", b"RCPT TO:<also@example.net>"]
        assert running.engine.seen[0].envelope.rcpt_tos == ("good@example.net", "also@example.net")


LOST: dict[str, Step] = {
    "close": Do.CLOSE,
    "reset": Do.RESET,
    "hang": Do.HANG,
    "rubbish": b"rubbish",
    "two codes": b"250-a\r\n550 b",
    "1xx": b"150 x",
    "354": b"354 not here",
}
STAGES = ("MAIL", "RCPT", "DATA", "DOT")


@pytest.mark.parametrize(("stage", "how"), [(s, h) for s in STAGES for h in LOST if (s, h) != ("DATA", "354")])
async def test_a_next_hop_that_is_lost_means_451_and_the_session_goes_on(
    tmp_path: Path, hop: ScriptedHop, stage: str, how: str
) -> None:
    what = LOST[how]
    hop.steps[stage] = [what, what] if stage == "MAIL" else [what]  # an idle connection is retried at MAIL
    async with relay(tmp_path, hop, **TIMEOUTS) as running:
        client = await running.client()
        replies = await attempt(client)
        assert replies[-1].startswith(b"451 4."), replies
        assert all(reply.startswith(b"250") for reply in replies[:-1])
        assert running.dispositions == ([Disposition.NEXT_HOP_LOST] if stage in ("DATA", "DOT") else [])
        assert len(hop.messages) == (1 if stage == "DOT" else 0)
        if stage in ("MAIL", "RCPT"):  # what a pipelining client has already sent is not answered 5xx
            assert (await client.ask(b"RCPT TO:<c@example.net>")).startswith(b"451")
            assert (await client.ask(b"DATA")).startswith(b"451")
        assert not list(tmp_path.rglob("new/*"))
        hop.steps.clear()
        await expect_good_message(running, hop, client)


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_421_is_relayed_and_the_session_closed(tmp_path: Path, hop: ScriptedHop, stage: str) -> None:
    goodbye = b"421 4.3.2 hop.test going down"
    hop.steps[stage] = goodbye
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        assert (await attempt(client))[-1] == goodbye + b"\r\n"
        assert await client.at_end()
        assert running.dispositions == ([Disposition.REFUSED] if stage in ("DATA", "DOT") else [])


@pytest.mark.parametrize(
    ("steps", "answer"),
    [
        ({"CONNECT": b"421 4.3.2 too busy"}, b"421 4.3.2 too busy\r\n"),
        ({"CONNECT": b"554 5.7.1 not you"}, b"451 4.4.0 "),
        ({"CONNECT": Do.HANG}, b"451 4.4.2 "),
        ({"CONNECT": Do.CLOSE}, b"451 4.4.2 "),
        ({"CONNECT": b"HTTP/1.1 400 Bad Request"}, b"451 4.5.0 "),
        ({"EHLO": b"450 4.7.1 greylisted"}, b"451 4.4.0 "),
        ({"EHLO": Do.CLOSE}, b"451 4.4.2 "),
        ({"EHLO": b"502 what", "HELO": b"502 what"}, b"451 4.4.0 "),
    ],
    ids=["421", "554", "hang", "close", "not smtp", "ehlo 4xx", "ehlo close", "nothing known"],
)
async def test_a_next_hop_that_does_not_get_to_the_point(
    tmp_path: Path, hop: ScriptedHop, steps: dict[str, Any], answer: bytes
) -> None:
    hop.steps = steps
    async with relay(tmp_path, hop, **TIMEOUTS) as running:
        client = await running.connect()
        assert await client.greet() == b"250 mx.test\r\n"  # nothing known, nothing offered
        assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith(answer)


async def test_an_absent_next_hop_and_its_return(tmp_path: Path) -> None:
    async with ScriptedHop() as gone:
        port = gone.port
    absent = ScriptedHop(port=port)
    async with relay(tmp_path, absent, **TIMEOUTS) as running:
        client = await running.connect()
        assert await client.greet() == b"250 mx.test\r\n"
        for _ in range(2):
            assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith(b"451 4.4.1 ")
            assert (await client.ask(b"RSET")).startswith(b"250")
        assert running.log.settled == []
        async with absent:
            await expect_good_message(running, absent, client)


async def test_helo_when_ehlo_is_not_known(tmp_path: Path, hop: ScriptedHop) -> None:
    hop.steps["EHLO"] = b"502 5.5.1 EHLO?"
    async with relay(tmp_path, hop) as running:
        client = await running.connect()
        assert await client.greet() == b"250 mx.test\r\n"
        await expect_good_message(running, hop, client)
        assert hop.verbs[:3] == ["EHLO", "HELO", "MAIL"]


async def test_one_connection_serves_a_session_and_is_left_with_quit(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        for _ in range(3):
            await expect_good_message(running, hop, client)
        assert (await client.ask(b"QUIT")).startswith(b"221")
        await hop.ended.get()
        assert hop.connections == 1
        assert hop.verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3, "QUIT"]


@pytest.mark.parametrize("idle_end", [Do.CLOSE, Do.RESET, b"421 4.4.2 idle too long"], ids=["close", "reset", "421"])
async def test_an_idle_connection_that_was_closed_is_replaced_unseen(
    tmp_path: Path, hop: ScriptedHop, idle_end: Step
) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await expect_good_message(running, hop, client)
        hop.steps["MAIL"] = [idle_end]
        await expect_good_message(running, hop, client)
        assert hop.connections == 2


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\r\n\r\n" + b"y" * 65536 + b"\r\n",
        b"Subject: x\r\n\r\n.\r\n..\r\n.hidden\r\n...\r\n",
        b"Subject: x\r\n\r\n" + bytes(b for b in range(256) if b not in b"\r\n") * 40 + b"\r\n",
        b"Subject: x\r\n\r\n" + b".\r\n" * 1000 + (b"." * 998 + b"\r\n") * 4000,
        b"\r\nno header\r\n",
        b".dot first\r\n",
        b"",
        b"Subject: no body\r\n",
    ],
    ids=["64 KiB line", "dots", "8 bit and NUL", "large", "no header", "dot first", "empty", "no body"],
)
async def test_the_body_is_byte_identical(tmp_path: Path, hop: ScriptedHop, content: bytes) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin()
        assert (await client.data(content)).startswith(b"250")
        assert running.engine.seen[0].raw == content
        arrived = hop.messages[0].content
        assert arrived.startswith(b"Received: from client.test ([127.0.0.1]) by mx.test (spamfilter ")
        assert arrived.endswith(content)
        ours = arrived[: len(arrived) - len(content)]
        assert all(line.startswith((b"Received:", b"X-Spam-", b"\t")) for line in ours.splitlines())


async def test_a_next_hop_that_stops_reading_is_given_up(tmp_path: Path, hop: ScriptedHop) -> None:
    hop.steps["DATA"] = Do.STALL
    async with relay(tmp_path, hop, **TIMEOUTS) as running:
        client = await running.client()
        await client.begin()
        more_than_sockets_hold = b"x" * (16 * 2**20) + b"\r\n"
        assert (await client.data(more_than_sockets_hold)).startswith(b"451 4.4.2 ")
        assert running.dispositions == [Disposition.NEXT_HOP_LOST]
        assert "stopped reading" in running.log.settled[0][2]
