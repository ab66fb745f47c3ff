"""No next hop: the Maildir, synced before the 250."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from spamfilter.verdict import Disposition
from tests.frontends.smtp.dialogue import HAM, relay


async def test_delivery(tmp_path: Path) -> None:
    async with relay(tmp_path, None) as running:
        client = await running.connect()
        assert (await client.greet()).splitlines() == [
            b"250-mx.test",
            b"250-PIPELINING",
            b"250-8BITMIME",
            b"250-SMTPUTF8",
            b"250-ENHANCEDSTATUSCODES",
            b"250 SIZE %d" % (50 * 2**20),
        ]
        await client.begin(b"<b@example.net>", b"<c@example.net>", mail=b"<a@example.org> SIZE=70 BODY=8BITMIME")
        reply = await client.data(HAM)
        message = running.engine.seen[0]
        assert reply == b"250 2.0.0 Ok: delivered as %s\r\n" % message.id.encode()
        (mail,) = running.files(running.maildir)
        assert message.id in mail.name
        assert mail.stat().st_mode & 0o777 == 0o600
        raw = mail.read_bytes()
        assert raw.startswith(b"Return-Path: <a@example.org>\r\nReceived: from client.test ([127.0.0.1]) by mx.test")
        assert raw.endswith(HAM)
        assert b"\r\nX-Spam-Status: No," in raw
        assert running.dispositions == [Disposition.DELIVERED]
        assert running.files(running.maildir, "tmp") == []


async def test_parameters_that_local_delivery_cannot_honour(tmp_path: Path) -> None:
    async with relay(tmp_path, None) as running:
        client = await running.client()
        assert (await client.ask(b"MAIL FROM:<a@example.org> RET=FULL")).startswith(b"555 5.5.4 ")
        assert (await client.ask(b"MAIL FROM:<a@example.org> X-OWN=1")).startswith(b"555 5.5.4 ")
        assert (await client.ask(b"XFORWARD NAME=x")).startswith(b"502 ")
        await client.begin(mail=b"<>")
        assert (await client.data(HAM)).startswith(b"250")
        assert running.files(running.maildir)[0].read_bytes().startswith(b"Return-Path: <>\r\n")


async def test_a_disk_that_does_not_sync_is_not_said_to_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with relay(tmp_path, None) as running:
        client = await running.client()
        await client.begin()

        def fail(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            assert (await client.data(HAM)).startswith(b"451 4.3.0 ")
        assert running.files(running.maildir) == running.files(running.maildir, "tmp") == []
        assert running.dispositions == [Disposition.REFUSED]
        await client.begin()
        assert (await client.data(HAM)).startswith(b"250")
        assert len(running.files(running.maildir)) == 1
