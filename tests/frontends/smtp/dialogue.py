"""A raw SMTP client for tests, and a relay to speak to: what is sent and what comes back are bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spamfilter import config
from spamfilter.config import Address
from spamfilter.frontends.smtp import SmtpFrontend
from spamfilter.headers import Markup
from spamfilter.message import body_offset
from spamfilter.policy import Policy
from spamfilter.verdict import Action, Disposition, Label
from tests.fakes import THRESHOLDS, FakeEngine, FakeLog, fake_scanner
from tests.frontends.smtp.scripted_hop import ScriptedHop

HAM = b"Subject: lunch\r\nFrom: a@example.org\r\n\r\nSee you at noon.\r\n"
SPAM = b"Subject: VIAGRA\r\n\r\nVIAGRA\r\n"
WAIT_S = 10.0


@dataclass
class Client:
    """One connection to the relay. `ask` sends a line and returns the whole reply."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> bytes:
        """The next reply, all its lines, with CRLF; b"" when the relay has closed."""
        lines = b""
        async with asyncio.timeout(WAIT_S):
            while line := await self.reader.readline():
                lines += line
                if line[3:4] != b"-":
                    break
        return lines

    async def ask(self, line: bytes) -> bytes:
        await self.send(line + b"\r\n")
        return await self.reply()

    async def greet(self) -> bytes:
        """The greeting and EHLO; the EHLO reply."""
        assert (await self.reply()).startswith(b"220 ")
        return await self.ask(b"EHLO client.test")

    async def begin(self, *rcpts: bytes, mail: bytes = b"<a@example.org>") -> None:
        """MAIL and RCPT, which must go well."""
        assert (await self.ask(b"MAIL FROM:" + mail)).startswith(b"250 ")
        for rcpt in rcpts or (b"<b@example.net>",):
            assert (await self.ask(b"RCPT TO:" + rcpt)).startswith(b"250 ")

    async def data(self, content: bytes) -> bytes:
        """DATA with this content, stuffed; the reply to the final dot."""
        reply = await self.ask(b"DATA")
        if not reply.startswith(b"354"):
            return reply
        stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
        await self.send(stuffed + b".\r\n")
        return await self.reply()

    async def at_end(self) -> bool:
        """True when the relay closes without saying more."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read() == b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Relay:
    """A running relay, its fakes and its folders."""

    frontend: SmtpFrontend
    engine: FakeEngine
    log: FakeLog
    maildir: Path
    quarantine: Path
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        address = self.frontend.address
        client = Client(*await asyncio.open_connection(address.host, address.port))
        self.clients.append(client)
        return client

    async def client(self) -> Client:
        """Connected and greeted."""
        client = await self.connect()
        await client.greet()
        return client

    @property
    def dispositions(self) -> list[Disposition]:
        assert len(self.log.settled) == len({d.message_id for d, _, _ in self.log.settled}), "settled twice"
        return self.log.dispositions

    def files(self, folder: Path, name: str = "new") -> list[Path]:
        return sorted((folder / name).iterdir())


@asynccontextmanager
async def relay(
    tmp_path: Path,
    hop: ScriptedHop | None,
    *,
    engine: FakeEngine | None = None,
    spam: Action = Action.TAG,
    **settings: Any,
) -> AsyncIterator[Relay]:
    """A relay in front of `hop`, or with local delivery. `spam` is the action for messages with VIAGRA.

    It keeps no connection to `hop` between sessions unless `settings` say so.
    """
    overrides = {f"smtp__{key}": value for key, value in {"keep_connections": 0, **settings}.items()}
    loaded = config.load(None, environ={}, smtp__listen="127.0.0.1:0", **overrides).smtp
    if hop is not None:
        loaded = loaded.model_copy(update={"next_hop": Address(host="127.0.0.1", port=hop.port)})
    engine, log = engine or FakeEngine(), FakeLog()
    policy = Policy(THRESHOLDS, {**dict.fromkeys(Label, Action.TAG), Label.SPAM: spam})
    maildir, quarantine = tmp_path / "Maildir", tmp_path / "quarantine"
    frontend = SmtpFrontend(loaded, fake_scanner(engine, log, policy), Markup("mx.test"), maildir, quarantine)
    await frontend.start()
    running = Relay(frontend, engine, log, maildir, quarantine)
    try:
        yield running
    finally:
        for client in running.clients:
            await client.close()
        await frontend.stop(WAIT_S)
        assert frontend.sessions == 0
        assert frontend.bytes_in_flight == 0


def body(raw: bytes) -> bytes:
    """Everything behind the header block."""
    return raw[body_offset(raw) :]
