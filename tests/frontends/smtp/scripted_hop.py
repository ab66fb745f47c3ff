"""A next hop that does as it is told, over a real socket, and remembers everything it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Self


class Do(Enum):
    """What a scripted hop does instead of replying."""

    CLOSE = auto()
    RESET = auto()
    HANG = auto()
    STALL = auto()
    """Say 354 and read nothing more."""


Step = bytes | Do | Callable[[bytes], "bytes | Do"]

EXTENSIONS = (
    b"PIPELINING",
    b"SIZE 20480000",
    b"8BITMIME",
    b"SMTPUTF8",
    b"DSN",
    b"ENHANCEDSTATUSCODES",
    b"AUTH PLAIN",
    b"STARTTLS",
    b"CHUNKING",
    b"XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT",
)
DEFAULTS: dict[str, bytes] = {
    "CONNECT": b"220 hop.test ESMTP",
    "EHLO": b"250-hop.test\r\n" + b"\r\n".join(b"250-" + e for e in EXTENSIONS[:-1]) + b"\r\n250 " + EXTENSIONS[-1],
    "HELO": b"250 hop.test",
    "XFORWARD": b"250 2.0.0 Ok",
    "MAIL": b"250 2.1.0 Sender fine",
    "RCPT": b"250 2.1.5 Recipient fine",
    "DATA": b"354 Go on",
    "DOT": b"250-2.0.0 First line\r\n250 2.0.0 Ok: queued as HOP42",
    "RSET": b"250 2.0.0 Ok",
    "QUIT": b"221 2.0.0 Bye",
}


@dataclass
class Received:
    """One message that reached its final dot, as on the wire but unstuffed."""

    mail: bytes
    rcpts: list[bytes]
    content: bytes


@dataclass
class ScriptedHop:
    """`steps` overrides what is done at a command (or CONNECT, or DOT); a list is used up one by one."""

    steps: dict[str, Step | list[Step]] = field(default_factory=dict)
    commands: list[bytes] = field(default_factory=list)
    messages: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self.reached = asyncio.Queue[str]()
        self.ended = asyncio.Queue[int]()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**26)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def verbs(self) -> list[str]:
        """The commands' verbs, in order."""
        return [command.partition(b" ")[0].decode() for command in self.commands]

    def _step(self, name: str) -> Step:
        step = self.steps.get(name, DEFAULTS.get(name, b"500 5.5.2 What?"))
        if isinstance(step, list):
            return step.pop(0) if step else DEFAULTS[name]
        return step

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()
            self.ended.put_nowait(self.connections)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._act("CONNECT", b"", reader, writer):
            return
        mail, rcpts = b"", list[bytes]()
        while line := (await reader.readline()).rstrip(b"\r\n"):
            self.commands.append(line)
            verb = line.partition(b" ")[0].decode().upper()
            answer = await self._act(verb, line, reader, writer)
            if not answer:
                return
            if verb == "MAIL":
                mail, rcpts = line, []
            elif verb == "RCPT" and answer.startswith(b"2"):
                rcpts.append(line)
            elif verb == "DATA" and answer.startswith(b"354"):
                raw = b"\r\n" + await reader.readuntil(b"\r\n.\r\n")  # no message of the relay is empty
                self.messages.append(Received(mail, rcpts, raw[:-3].replace(b"\r\n.", b"\r\n")[2:]))
                if not await self._act("DOT", b"", reader, writer):
                    return
            elif verb == "QUIT" or answer.startswith(b"421"):
                return

    async def _act(self, name: str, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        step = self._step(name)
        if callable(step):
            step = step(line)
        self.reached.put_nowait(name)
        if step is Do.HANG:
            await reader.read()  # until the other side gives up
            return b""
        if step is Do.STALL:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"354 Go on\r\n")
            await asyncio.Event().wait()
        if step is Do.RESET:
            writer.transport.abort()
            return b""
        if step is Do.CLOSE:
            return b""
        assert isinstance(step, bytes)
        writer.write(step + b"\r\n")
        await writer.drain()
        return step
