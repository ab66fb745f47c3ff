"""What the tests of the pool share: messages that hold a worker, and what to read from outcomes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from spamfilter.engine.pool import EnginePool
from spamfilter.message import Message
from spamfilter.verdict import Failure, Score


class Gate:
    """Holds a worker until it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.message = message(f"GATE {path}")

    def open(self) -> None:
        self._path.touch()


def message(text: str = "hello") -> Message:
    return Message(text.encode(), "cli")


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.005)


def send(pool: EnginePool, *messages: Message) -> list[asyncio.Task[Score | Failure]]:
    return [asyncio.create_task(pool.score(one)) for one in messages]


async def hold(pool: EnginePool, gate: Gate) -> asyncio.Task[Score | Failure]:
    """Occupy a worker until the gate opens."""
    (task,) = send(pool, gate.message)
    await until(lambda: any(worker.holding for worker in pool.stats.workers))
    return task


def pid(outcome: Score | Failure) -> int:
    assert isinstance(outcome, Score), outcome
    return int(outcome.stages["pid"])


def kinds(*outcomes: Score | Failure) -> list[str]:
    return [outcome.kind.value if isinstance(outcome, Failure) else "scored" for outcome in outcomes]


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
