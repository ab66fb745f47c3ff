"""Scriptable stand-ins for the seams, first-class: an engine that answers as told, a log that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from spamfilter.message import Message
from spamfilter.policy import Policy
from spamfilter.scanner import Scanner
from spamfilter.verdict import Decision, Disposition, Failure, Score, Thresholds

THRESHOLDS = Thresholds(unsure_at=0.5, spam_at=0.9)


def score(probability: float) -> Score:
    """A score as the engine would return it."""
    return Score(probability, {"ngram": probability, "gpt": probability}, "fake-1", {"total": 1.0})


class FakeEngine:
    """Answers with `answer`, or by a function of the message, after `delay_s`. Messages with b"VIAGRA" are spam."""

    def __init__(self, answer: Score | Failure | Callable[[Message], Score | Failure] | None = None) -> None:
        self.answer = answer
        self.delay_s = 0.0
        self.seen: list[Message] = []

    async def score(self, message: Message) -> Score | Failure:
        self.seen.append(message)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.answer is None:
            return score(0.99 if b"VIAGRA" in message.raw else 0.01)
        return self.answer(message) if callable(self.answer) else self.answer


class FakeLog:
    """Keeps every record and settlement in order."""

    def __init__(self) -> None:
        self.recorded: list[tuple[Message, Decision]] = []
        self.settled: list[tuple[Decision, Disposition, str]] = []

    def record(self, message: Message, decision: Decision) -> None:
        self.recorded.append((message, decision))

    def settle(self, decision: Decision, disposition: Disposition, detail: str = "") -> None:
        self.settled.append((decision, disposition, detail))

    @property
    def dispositions(self) -> list[Disposition]:
        return [disposition for _, disposition, _ in self.settled]


def fake_scanner(engine: FakeEngine | None = None, log: FakeLog | None = None, policy: Policy | None = None) -> Scanner:
    """A real Scanner over fakes."""
    return Scanner(
        engine or FakeEngine(), policy or Policy(THRESHOLDS), log or FakeLog(), max_message_bytes=48 * 1024 * 1024
    )
