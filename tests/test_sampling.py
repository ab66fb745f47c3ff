"""The sampler: it changes no answer, asks behind mail, one at a time, and its troubles stay its own."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from spamfilter.classifier.sampled import Sampled
from spamfilter.message import Message
from spamfilter.sampling import Sampler
from spamfilter.store.database import StoreError
from spamfilter.verdict import Failure, FailureKind
from tests.engine.pool_setup import until
from tests.fakes import FakeEngine, score

SAMPLE = Sampled("fake-1", 0.01, "en", 0.1, b"smp1")


class Sampling(FakeEngine):
    """A fake engine that gives samples, or what it is told."""

    def __init__(self, sample: Sampled | Failure = SAMPLE) -> None:
        super().__init__()
        self.gives: Sampled | Failure | Exception = sample
        self.sampled: list[Message] = []
        self.may = asyncio.Event()
        self.may.set()

    async def start(self) -> None: ...

    async def stop(self, grace_s: float) -> None: ...

    async def sample(self, message: Message) -> Sampled | Failure:
        self.sampled.append(message)
        await self.may.wait()
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


class Kept:
    """A store in memory."""

    def __init__(self) -> None:
        self.rows: list[Sampled] = []
        self.life: list[str] = []
        self.error: Exception | None = None
        self.holds = threading.Event()
        self.holds.set()

    def open(self) -> None:
        self.life.append("open")
        if self.error is not None:
            raise self.error

    def add(self, sample: Sampled) -> None:
        self.holds.wait(30)
        if self.error is not None:
            raise self.error
        self.rows.append(sample)

    def close(self) -> None:
        self.life.append("close")


async def sampler(engine: Sampling, store: Kept, **settings: Any) -> Sampler:
    made = Sampler(engine, store, **{"share": 1.0, "every_s": 0.0, **settings})
    await made.start()
    return made


async def settled(made: Sampler) -> None:
    if made._work is not None:
        await asyncio.wait_for(made._work, 30)


async def test_the_answer_is_the_engines_and_a_row_is_kept() -> None:
    engine, store = Sampling(), Kept()
    made = await sampler(engine, store)
    mail = Message(b"VIAGRA", "smtp")
    assert await made.score(mail) == score(0.99)
    await settled(made)
    assert (engine.sampled, store.rows, made.kept) == ([mail], [SAMPLE], 1)
    await made.stop(1)
    assert store.life == ["open", "close"]


async def test_a_slow_sample_delays_nobody_and_there_is_one_at_a_time() -> None:
    engine, store = Sampling(), Kept()
    made = await sampler(engine, store)
    engine.may.clear()
    for _ in range(20):
        await made.score(Message(b"x", "smtp"))
        await asyncio.sleep(0)
    assert (len(engine.seen), len(engine.sampled)) == (20, 1)
    await made.stop(0)  # dropped
    assert store.rows == [] and store.life == ["open", "close"]


async def test_a_stop_waits_for_the_row_that_is_being_written() -> None:
    engine, store = Sampling(), Kept()
    made = await sampler(engine, store)
    store.holds.clear()
    await made.score(Message(b"x", "smtp"))
    await until(lambda: engine.sampled)
    stopping = asyncio.create_task(made.stop(0))
    await asyncio.sleep(0.05)
    store.holds.set()
    await stopping
    assert store.life == ["open", "close"]
    await made.stop(0)


async def test_samples_are_apart_and_a_share_is_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, store = Sampling(), Kept()
    made = await sampler(engine, store, every_s=1000.0)
    for _ in range(5):
        await made.score(Message(b"x", "smtp"))
        await settled(made)
    assert len(store.rows) == 1
    numbers = iter([0.9, 0.3, 0.2, 0.31])
    monkeypatch.setattr("spamfilter.sampling.random.random", lambda: next(numbers))
    some = await sampler(engine, store, share=0.3)
    for _ in range(4):
        await some.score(Message(b"x", "smtp"))
        await settled(some)
    assert len(store.rows) == 2
    await made.stop(0)
    await some.stop(0)


async def test_none_is_none_and_an_engines_failure_is_no_sample() -> None:
    engine, store = Sampling(), Kept()
    off = await sampler(engine, store, share=0.0)
    assert await off.score(Message(b"x", "smtp")) == score(0.01)
    await off.stop(0)
    on = await sampler(engine, store)
    engine.answer = Failure(FailureKind.TIMEOUT)
    assert await on.score(Message(b"x", "smtp")) is engine.answer
    await settled(on)
    assert engine.sampled == [] and store.life == ["open"]
    await on.stop(0)


@pytest.mark.parametrize("error", [StoreError("disk full"), RuntimeError("anything")])
async def test_what_cannot_be_written_is_said_once(error: Exception) -> None:
    engine, store = Sampling(), Kept()
    made = await sampler(engine, store)
    store.error = error
    with capture_logs() as logs:
        for _ in range(3):
            assert await made.score(Message(b"x", "smtp")) == score(0.01)
            await settled(made)
    assert [(line["event"], str(error) in line["error"]) for line in logs] == [("sampling.failed", True)]
    store.error = None
    await made.score(Message(b"x", "smtp"))
    await settled(made)
    assert made.kept == 1
    await made.stop(0)


async def test_a_store_that_does_not_open_turns_it_off() -> None:
    engine, store = Sampling(), Kept()
    store.error = StoreError("of a newer version")
    with capture_logs() as logs:
        made = await sampler(engine, store)
        assert await made.score(Message(b"x", "smtp")) == score(0.01)
        await made.stop(0)
    assert [line["event"] for line in logs] == ["sampling.off"]
    assert (engine.sampled, store.life) == ([], ["open"])


async def test_a_busy_engine_is_asked_again_and_a_hurt_one_is_left_alone() -> None:
    engine, store = Sampling(Failure(FailureKind.OVERLOAD)), Kept()
    made = await sampler(engine, store)
    for _ in range(3):
        await made.score(Message(b"x", "smtp"))
        await settled(made)
    assert len(engine.sampled) == 3
    engine.gives = Failure(FailureKind.UNPARSABLE, "crashed")
    with capture_logs() as logs:
        for _ in range(3):
            await made.score(Message(b"x", "smtp"))
            await settled(made)
    assert len(engine.sampled) == 4 and [line["event"] for line in logs] == ["sampling.failed"]
    await made.stop(0)
