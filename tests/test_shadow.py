"""The shadow: it sees a share, changes no answer, delays none, and its troubles stay its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spamfilter.message import Message
from spamfilter.shadow import Pair, ShadowEngine, ShadowFile, choose, chosen, differences, picked, shadow_file
from spamfilter.verdict import Failure, FailureKind, Label, Score, Thresholds
from tests.fakes import FakeEngine, score


class FakeCandidate(FakeEngine):
    """A fake engine with a life."""

    def __init__(self, answer: Score | Failure | Callable[[Message], Score | Failure] | None = None) -> None:
        super().__init__(answer)
        self.life: list[str] = []
        self.fails_to_start = False

    async def start(self) -> None:
        self.life.append("start")
        if self.fails_to_start:
            raise RuntimeError("no bundle there")

    async def stop(self, grace_s: float) -> None:
        self.life.append("stop")


class Kept:
    """A sink in memory."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.error: Exception | None = None

    def write(self, pair: Pair) -> None:
        if self.error is not None:
            raise self.error
        self.pairs.append(pair)


async def settled(engine: ShadowEngine) -> None:
    await asyncio.wait_for(asyncio.gather(*engine._work), 5)


async def test_both_are_asked_and_the_answer_is_the_current_models() -> None:
    sink, candidate = Kept(), FakeCandidate(Score(0.7, {}, "new-1"))
    engine = ShadowEngine(FakeEngine(), candidate, 1.0, sink)
    await engine.start()
    message = Message(b"VIAGRA", "smtp")
    assert await engine.score(message) == score(0.99)
    await settled(engine)
    [pair] = sink.pairs
    assert (pair.id, pair.current_model, pair.current) == (message.id, "fake-1", 0.99)
    assert (pair.candidate_model, pair.candidate, engine.compared) == ("new-1", 0.7, 1)
    await engine.stop(1)
    assert candidate.life == ["start", "stop"]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
async def test_a_share_is_seen_and_the_same_one_again(share: float) -> None:
    candidate = FakeCandidate()
    engine = ShadowEngine(FakeEngine(), candidate, share, Kept())
    await engine.start()
    for number in range(400):
        await engine.score(Message(b"x", "smtp", id=f"id{number}"))
        await settled(engine)
    assert abs(len(candidate.seen) - 400 * share) <= 40 * (0 < share < 1)
    assert [m.id for m in candidate.seen] == [f"id{n}" for n in range(400) if picked(f"id{n}", int(share * (1 << 32)))]
    await engine.stop(1)


async def test_a_slow_candidate_delays_nobody_and_is_not_asked_while_it_is_busy() -> None:
    candidate = FakeCandidate()
    candidate.delay_s = 30
    engine = ShadowEngine(FakeEngine(), candidate, 1.0, Kept(), most_in_work=2)
    await engine.start()
    began = time.monotonic()
    for _ in range(20):
        await engine.score(Message(b"x", "smtp"))
    await asyncio.sleep(0)
    assert (len(candidate.seen), engine.skipped) == (2, 18)
    await engine.stop(1)  # what it had not answered is dropped
    assert time.monotonic() - began < 2
    assert not engine._work


async def test_the_candidates_failures_are_its_own() -> None:
    def broken(message: Message) -> Score | Failure:
        raise ValueError("as told")

    sink, candidate = Kept(), FakeCandidate(broken)
    engine = ShadowEngine(FakeEngine(), candidate, 1.0, sink)
    await engine.start()
    assert await engine.score(Message(b"x", "smtp")) == score(0.01)
    await settled(engine)
    candidate.answer = Failure(FailureKind.TIMEOUT)
    await engine.score(Message(b"x", "smtp"))
    await settled(engine)
    sink.error = OSError("disk full")
    await engine.score(Message(b"x", "smtp"))
    await settled(engine)
    assert [(pair.current, pair.candidate) for pair in sink.pairs] == [(0.01, None)]
    assert engine.compared == 1
    await engine.stop(1)


async def test_a_candidate_that_does_not_start_is_not_asked() -> None:
    candidate = FakeCandidate()
    candidate.fails_to_start = True
    engine = ShadowEngine(FakeEngine(), candidate, 1.0, Kept())
    await engine.start()
    assert await engine.score(Message(b"x", "smtp")) == score(0.01)
    await engine.stop(1)
    assert (candidate.seen, candidate.life) == ([], ["start"])


async def test_the_current_models_failure_passes_through() -> None:
    sink, failure = Kept(), Failure(FailureKind.OVERLOAD)
    engine = ShadowEngine(FakeEngine(failure), FakeCandidate(), 1.0, sink)
    await engine.start()
    assert await engine.score(Message(b"x", "smtp")) is failure
    await settled(engine)
    assert (sink.pairs[0].current, sink.pairs[0].candidate) == (None, 0.01)
    await engine.stop(1)


def pair(current: float | None, candidate: float | None, number: int = 0) -> Pair:
    return Pair(datetime(2026, 1, 2, tzinfo=UTC), f"id{number}", "old", current, "new", candidate)


def test_the_file_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    file = ShadowFile(tmp_path / "shadow" / "new.jsonl", most_bytes=1000)
    for number in range(100):
        file.write(pair(0.1, 0.2, number))
    sizes = [path.stat().st_size for path in file.path.parent.iterdir()]
    assert len(sizes) == 2 and max(sizes) <= 1000
    kept = [one.id for one in file.pairs()]
    assert kept == [f"id{number}" for number in range(100 - len(kept), 100)]
    assert len(kept) >= 6
    assert file.path.stat().st_mode & 0o077 == 0


def test_what_would_change_is_counted_by_each_models_thresholds(tmp_path: Path) -> None:
    file = shadow_file(tmp_path, "new-1")
    assert differences(file, Thresholds(0.5, 0.9), Thresholds(0.5, 0.9)).sentence == "No message was compared yet."
    for number, (now, then) in enumerate(
        [(0.1, 0.2), (0.95, 0.85), (0.95, 0.1), (0.6, 0.95), (None, 0.1), (0.1, None)]
    ):
        file.write(pair(now, then, number))
    with file.path.open("ab") as out:
        out.write(b'{"time": "2026')  # torn by a kill
    found = differences(file, Thresholds(0.5, 0.9), Thresholds(0.4, 0.8))
    assert (found.pairs, found.failed) == (4, 1)
    assert found.changed == {(Label.SPAM, Label.HAM): 1, (Label.UNSURE, Label.SPAM): 1}
    assert [one.id for one in found.largest] == ["id2", "id3"]
    assert found.sentence == "2 of 4 messages would be labelled otherwise (1 spam to ham, 1 unsure to spam)."


def test_which_one_runs_in_the_shadow_is_one_small_file(tmp_path: Path) -> None:
    assert chosen(tmp_path) is None
    choose(tmp_path, "new-1")
    choose(tmp_path, "new-2")
    assert chosen(tmp_path) == "new-2"
    assert [path.name for path in (tmp_path / "shadow").iterdir()] == ["candidate"]
    choose(tmp_path, None)
    choose(tmp_path, None)
    assert chosen(tmp_path) is None
