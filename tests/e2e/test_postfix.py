"""The filter behind a real Postfix, set up by the very snippets that deploy/ ships."""

from __future__ import annotations

import asyncio
import email
import os
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from spamfilter import config
from spamfilter.frontends.smtp import SmtpFrontend
from spamfilter.message import body_offset
from spamfilter.verdict import Disposition
from tests.__main__ import ROOT
from tests.conftest import absent
from tests.e2e.postfix import DOMAIN, Postfix
from tests.fakes import FakeLog, fake_scanner

pytestmark = pytest.mark.e2e

MESSAGES = ROOT / "examples" / "messages"
HAM = (MESSAGES / "ham-html.eml").read_bytes()
SPAM = (MESSAGES / "spam-html.eml").read_bytes().replace(b"Viagra", b"VIAGRA")

Send = Callable[[bytes], Awaitable[None]]
Relay = Callable[[], AbstractAsyncContextManager[FakeLog]]


@pytest.fixture
def postfix(require_program: Callable[[str, str], str]) -> Iterator[Postfix]:
    require_program("postfix", "postfix")
    if os.geteuid() != 0:
        absent("only root can start Postfix", "SPAMFILTER_REQUIRE_SERVERS")
    with tempfile.TemporaryDirectory(prefix="spamfilter-postfix-") as folder:
        server = Postfix(Path(folder), ROOT / "deploy" / "postfix" / "after-queue")
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def send(require_program: Callable[[str, str], str], postfix: Postfix) -> Send:
    """Hands a message to Postfix's public port by swaks."""
    swaks = [require_program("swaks", "swaks"), "--server", f"127.0.0.1:{postfix.port}", "--data", "-"]
    swaks += ["--no-data-fixup"]  # it would add an empty line
    swaks += ["--helo", "office-114.example.com", "--from", "ruth.osei@example.com", "--to", f"jonas@{DOMAIN}"]

    async def hand_in(raw: bytes) -> None:
        process = await asyncio.create_subprocess_exec(*swaks, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
        output, _ = await process.communicate(raw.replace(b"\n", b"\r\n") + b".")
        assert process.returncode == 0, output.decode("utf-8", "replace")

    return hand_in


@pytest.fixture
def relay(postfix: Postfix, tmp_path: Path) -> Relay:
    """Our relay between the two ports of this Postfix, as the shipped example configures it."""
    settings = config.load(
        ROOT / "examples" / "postfix-after-queue.yaml",
        environ={},
        state_dir=str(tmp_path),
        smtp__listen=f"127.0.0.1:{postfix.filter_port}",
        smtp__next_hop=f"127.0.0.1:{postfix.back_port}",
    )

    @asynccontextmanager
    async def running() -> AsyncIterator[FakeLog]:
        log = FakeLog()
        frontend = SmtpFrontend(
            settings.smtp, fake_scanner(log=log), settings.markup, tmp_path / "Maildir", tmp_path / "quarantine"
        )
        await frontend.start()
        try:
            yield log
        finally:
            await frontend.stop(5.0)

    return running


async def test_mail_comes_through_marked_and_otherwise_unchanged(postfix: Postfix, send: Send, relay: Relay) -> None:
    async with relay() as log:
        await send(HAM)
        await send(SPAM)
        arrived = await postfix.delivered(2)
    by_subject = {email.message_from_bytes(raw)["Subject"][:7]: raw for raw in arrived}
    ham, spam = by_subject["Parents"], by_subject["helen, "]
    assert email.message_from_bytes(ham)["X-Spam-Status"].startswith("No, ")
    assert "X-Spam-Flag" not in email.message_from_bytes(ham)
    assert email.message_from_bytes(spam)["X-Spam-Status"].startswith("Yes, ")
    assert email.message_from_bytes(spam)["X-Spam-Flag"] == "YES"
    for raw, sent in ((ham, HAM), (spam, SPAM)):
        assert raw[body_offset(raw) :] == sent[body_offset(sent) :]
    assert log.dispositions == [Disposition.DELIVERED] * 2
    await postfix.emptied()


async def test_postfix_logs_the_real_client_behind_the_filter(postfix: Postfix, send: Send, relay: Relay) -> None:
    async with relay() as log:
        await send(HAM)
        await postfix.delivered(1)
    [back] = [line for line in postfix.log().splitlines() if "/scanned/" in line and "orig_client=" in line]
    assert "orig_client=localhost[127.0.0.1]" in back
    [(message, _)] = log.recorded
    assert message.envelope.mail_from == "ruth.osei@example.com"
    assert message.envelope.rcpt_tos == (f"jonas@{DOMAIN}",)
    assert message.envelope.peer is not None
    assert message.envelope.peer.name == "office-114.example.com"


async def test_mail_waits_in_the_queue_while_the_filter_is_down(postfix: Postfix, send: Send, relay: Relay) -> None:
    await send(SPAM)
    waiting = await postfix.deferred()
    assert "refused" in waiting["recipients"][0]["delay_reason"]
    async with relay():
        postfix.flush()
        [arrived] = await postfix.delivered(1)
    assert email.message_from_bytes(arrived)["X-Spam-Flag"] == "YES"
    await postfix.emptied()
