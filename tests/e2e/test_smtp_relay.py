"""Postfix's own load generator and sink around the relay: whatever goes in comes out, once, unharmed."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spamfilter import config
from spamfilter.frontends.smtp import SmtpFrontend
from spamfilter.headers import Markup
from spamfilter.policy import Policy
from spamfilter.verdict import Action, Disposition, Label
from tests.fakes import THRESHOLDS, FakeLog, fake_scanner

pytestmark = pytest.mark.e2e

MESSAGES = 300
SESSIONS = 20
WITHIN_S = 60


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def _sink(program: str, folder: Path, *options: str) -> AsyncIterator[int]:
    """An smtp-sink that writes each message to a file of its own below `folder`; its port."""
    port = _free_port()
    user = ("-u", "root") if os.geteuid() == 0 else ()
    arguments = (*user, *options, "-d", f"{folder}/%M.", f"127.0.0.1:{port}", "200")
    process = await asyncio.create_subprocess_exec(program, *arguments)
    try:
        await _until_it_listens(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _until_it_listens(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return


async def _run(program: str, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(WITHIN_S):
        output, _ = await process.communicate()
    return process.returncode, output.decode("utf-8", "replace")


@asynccontextmanager
async def _relay(tmp_path: Path, next_hop: str, log: FakeLog, spam: Action = Action.TAG) -> AsyncIterator[SmtpFrontend]:
    settings = config.load(None, environ={}, smtp__listen="127.0.0.1:0", smtp__next_hop=next_hop).smtp
    policy = Policy(THRESHOLDS, {**dict.fromkeys(Label, Action.TAG), Label.SPAM: spam})
    frontend = SmtpFrontend(
        settings, fake_scanner(log=log, policy=policy), Markup("mx.test"), tmp_path / "Maildir", tmp_path / "quarantine"
    )
    await frontend.start()
    try:
        yield frontend
    finally:
        await frontend.stop(10)


@pytest.mark.parametrize("per_session", [1, 20], ids=["a session each", "long sessions"])
async def test_every_message_of_smtp_source_reaches_smtp_sink(
    tmp_path: Path, require_program: Callable[[str, str], str], per_session: int
) -> None:
    source, sink = require_program("smtp-source", "postfix"), require_program("smtp-sink", "postfix")
    arrived = tmp_path / "sink"
    arrived.mkdir()
    log = FakeLog()
    keep = () if per_session == 1 else ("-d",)  # -d: do not disconnect after a message
    async with _sink(sink, arrived) as port, _relay(tmp_path, f"127.0.0.1:{port}", log) as relay:
        code, output = await _run(
            source,
            *("-s", str(SESSIONS), "-m", str(MESSAGES), "-l", "4000", "-N", *keep),
            *("-f", "a@example.org", "-t", "b@example.net", "-S", "numbered"),
            str(relay.address),
        )
        assert code == 0, output
    messages = [path.read_bytes() for path in arrived.iterdir()]
    assert len(messages) == MESSAGES
    assert all(b"X-Spam-Status: No," in message for message in messages)
    assert all(b"by mx.test (spamfilter" in message for message in messages)
    senders = {re.findall(rb"^X-(?:Mail|Rcpt)-Args: .*$", message, re.M)[-1] for message in messages}
    assert len(senders) == MESSAGES, "each recipient's message once"
    assert [disposition for _, disposition, _ in log.settled] == [Disposition.DELIVERED] * MESSAGES


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "."])
async def test_smtp_source_sees_the_refusals_of_smtp_sink(
    tmp_path: Path, require_program: Callable[[str, str], str], stage: str
) -> None:
    source, sink = require_program("smtp-source", "postfix"), require_program("smtp-sink", "postfix")
    arrived = tmp_path / "sink"
    arrived.mkdir()
    async with (
        _sink(sink, arrived, "-r", stage) as port,
        _relay(tmp_path, f"127.0.0.1:{port}", FakeLog()) as relay,
    ):
        code, output = await _run(source, "-m", "1", str(relay.address))
        assert code != 0
        assert "450 4.3.0 Error: command failed" in output


async def test_swaks_is_told_of_a_reject_and_the_sink_is_spared(
    tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    swaks, sink = require_program("swaks", "swaks"), require_program("smtp-sink", "postfix")
    arrived = tmp_path / "sink"
    arrived.mkdir()
    async with (
        _sink(sink, arrived) as port,
        _relay(tmp_path, f"127.0.0.1:{port}", FakeLog(), Action.REJECT) as relay,
    ):
        to = ("--server", str(relay.address), "--from", "a@example.org", "--to", "b@example.net", "--pipeline")
        code, output = await _run(swaks, *to, "--body", "VIAGRA")
        assert code == 26, output  # the message was refused
        assert "550 5.7.1 Message refused as spam" in output
        code, output = await _run(swaks, *to, "--body", "..\n.\n...\nlunch?")
        assert code == 0, output
    (message,) = [path.read_bytes() for path in arrived.iterdir()]
    assert b"\n..\n.\n...\nlunch?\n" in message.replace(b"\r\n", b"\n")
