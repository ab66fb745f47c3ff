"""A mail client that keeps its own pace: it sends at given times, however long the answers take.

A client that waits for its answers sends less when they are slow, and so does not see the worst of it. Here each
message has a connection of its own, opened at its time. What is measured is the time from the last byte of the
message to the reply, which is all that a relay with scanning can add. A bare protocol: the client shares its cores
with what it measures.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

_LAST_S = 60.0
_EHLO = b"EHLO client.example.com\r\n"
_ENVELOPE = b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"


class RefusedError(Exception):
    """The server said something else than it should."""


async def latencies(port: int, mail: Path, *, per_second: float, messages: int) -> list[float]:
    """Seconds from final dot to reply, one for each message, in order of sending; arrivals are Poisson's.

    The first tenth goes before them and is not counted. Raises RefusedError, OSError, TimeoutError.
    """
    loop = asyncio.get_running_loop()
    content = b"\r\n".join(mail.read_bytes().splitlines()).replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n"
    pace = random.Random(20)
    warm_up = messages // 10
    due = loop.time()
    opening: list[asyncio.Task[asyncio.Future[float]]] = []
    for _ in range(messages + warm_up):
        due += pace.expovariate(per_second)
        await asyncio.sleep(due - loop.time())
        opening.append(asyncio.create_task(_send(loop, port, content)))
    async with asyncio.timeout(_LAST_S):
        answers = await asyncio.gather(*opening)
        return (await asyncio.gather(*answers))[warm_up:]


async def _send(loop: asyncio.AbstractEventLoop, port: int, content: bytes) -> asyncio.Future[float]:
    answer: asyncio.Future[float] = loop.create_future()
    await loop.create_connection(lambda: _Sending(content, answer), "127.0.0.1", port)
    return answer


class _Sending(asyncio.Protocol):
    """One message: each step waits for the codes of the one before, then writes. `answer` is the time of the last."""

    _transport: asyncio.Transport

    def __init__(self, content: bytes, answer: asyncio.Future[float]) -> None:
        self._answer = answer
        self._held = b""
        self._steps: list[tuple[Sequence[bytes], bytes]] = [
            ((b"250",), b"QUIT\r\n"),
            ((b"250", b"250", b"354"), content),
            ((b"250",), _ENVELOPE),
            ((b"220",), _EHLO),
        ]
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if not self._steps or not self._held.endswith(b"\n"):
            return
        lines = [line for line in self._held.splitlines() if line[3:4] != b"-"]  # the last of each reply
        codes, then = self._steps[-1]
        if len(lines) < len(codes) and all(map(bytes.startswith, lines, codes)):
            return
        if len(lines) != len(codes) or not all(map(bytes.startswith, lines, codes)):
            self._end(RefusedError(f"{self._held!r} instead of {codes!r}"))
            return
        self._held = b""
        self._steps.pop()
        if not self._steps:
            self._answer.set_result(time.perf_counter() - self._sent_at)
        self._sent_at = time.perf_counter()  # before: on one core, writing lets the server run first
        self._transport.write(then)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or RefusedError("the connection was closed before the end"))

    def _end(self, error: Exception) -> None:
        self._steps.clear()
        if not self._answer.done():
            self._answer.set_exception(error)
            self._transport.close()
