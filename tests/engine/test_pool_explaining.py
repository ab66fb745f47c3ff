"""How the engine explains: one message at a time, by a worker without mail to read, and never at the mail's cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from spamfilter import config
from spamfilter.classifier.bundle import default_bundle
from spamfilter.classifier.explanation import Explanation
from spamfilter.engine import frames
from spamfilter.engine.batcher import MOST_EXPLANATIONS
from spamfilter.engine.pool import EnginePool
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Score
from tests.classifier.made_explanation import made
from tests.engine.pool_setup import Gate, hold, message, send, until

pytestmark = pytest.mark.usefixtures("quiet")


def explain(pool: EnginePool, *messages: Message) -> list[asyncio.Task[Explanation | Failure]]:
    return [asyncio.create_task(pool.explain(one)) for one in messages]


async def test_a_worker_explains_in_the_time_it_is_given(engine: Callable[..., EnginePool]) -> None:
    async with engine() as pool:
        found = await pool.explain(message(), 0.75)
        assert isinstance(found, Explanation)
        assert found.score.stages["seconds"] == 0.75
        assert pool.stats.processed == 0  # it is no scan
    async with engine(deadline_s=4.0) as pool:  # a worker is taken to hang after a second
        found = await pool.explain(message(), 0.75)
        assert isinstance(found, Explanation) and found.score.stages["seconds"] == 0.5


async def test_the_shipped_model_explains_in_a_worker() -> None:
    settings = config.load(environ={}).engine.model_copy(update={"deadline_s": 60.0})
    mail = Message(b"From: a@b.example\nDate: x\nSubject: cheap pills\n\nbuy cheap pills now\n", "test")
    async with EnginePool(settings, default_bundle()) as pool:
        found, score = await asyncio.gather(pool.explain(mail, 0.1), pool.score(mail))
    assert isinstance(found, Explanation) and isinstance(score, Score)
    assert found.score.probability == pytest.approx(score.probability, abs=1e-9)
    assert found.missing == pytest.approx(0.0, abs=1e-9)


async def test_mail_comes_first(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine(batch=1) as pool:
        held = await hold(pool, gate)
        (wanted,) = explain(pool, message())
        await until(lambda: pool.stats.queue_messages == 1)
        mail = send(pool, message(), message())
        await until(lambda: pool.stats.queue_messages == 3)
        order: list[str] = []
        wanted.add_done_callback(lambda _: order.append("explanation"))
        for one in mail:
            one.add_done_callback(lambda _: order.append("mail"))
        gate.open()
        await asyncio.gather(held, wanted, *mail)
        assert order == ["mail", "mail", "explanation"]


async def test_one_at_a_time_so_that_the_other_worker_reads_mail(
    engine: Callable[..., EnginePool], tmp_path: Path
) -> None:
    gates = [Gate(tmp_path / name) for name in "ab"]
    async with engine(workers=2) as pool:
        tasks = explain(pool, *(gate.message for gate in gates))
        await until(lambda: sum(worker.holding for worker in pool.stats.workers) == 1)
        assert pool.stats.queue_messages == 1
        assert isinstance(await pool.score(message()), Score)
        assert pool.stats.queue_messages == 1
        for gate in gates:
            gate.open()
        assert all(isinstance(found, Explanation) for found in await asyncio.gather(*tasks))


async def test_few_may_wait(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine() as pool:
        held = await hold(pool, gate)
        waiting = explain(pool, *(message() for _ in range(MOST_EXPLANATIONS)))
        await until(lambda: pool.stats.queue_messages == MOST_EXPLANATIONS)
        refused = await pool.explain(message())
        assert isinstance(refused, Failure) and refused.kind is FailureKind.OVERLOAD
        (mail,) = send(pool, message())
        gate.open()
        assert isinstance(await mail, Score) and isinstance(await held, Score)
        assert all(isinstance(found, Explanation) for found in await asyncio.gather(*waiting))


async def test_what_crashes_a_worker_takes_no_second_one_down(engine: Callable[..., EnginePool]) -> None:
    async with engine(workers=2) as pool:
        failed = await pool.explain(message("CRASH"))
        assert isinstance(failed, Failure) and failed.kind is FailureKind.UNPARSABLE
        await until(lambda: pool.stats.restarts == 1)
        assert isinstance(await pool.explain(message()), Explanation)
        raised = await pool.explain(message("RAISE"))
        assert isinstance(raised, Failure) and raised.kind is FailureKind.UNPARSABLE


async def test_an_explanation_that_hangs_does_not_hold_a_worker_until_its_deadline(
    engine: Callable[..., EnginePool],
) -> None:
    async with engine(deadline_s=2.0) as pool:
        (hung,) = explain(pool, message("HANG"))
        await until(lambda: pool.stats.restarts == 1)
        assert not isinstance(await hung, Explanation)
        assert isinstance(await pool.score(message()), Score)


async def test_who_has_gone_is_not_explained_to(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine() as pool:
        held = await hold(pool, gate)
        (wanted,) = explain(pool, message())
        await until(lambda: pool.stats.queue_messages == 1)
        wanted.cancel()
        await until(lambda: pool.stats.queue_messages == 0)
        gate.open()
        assert isinstance(await held, Score)


def test_frames_carry_explanations_and_their_time() -> None:
    before = made()
    (frame,) = frames.Decoder().feed(frames.encode_answer(3, before))
    assert frames.decode_answer(frame) == (3, before)
    sent = frames.encode_message(3, message(), last=True, ask=frames.Ask.EXPLAIN, seconds=0.3)
    (frame,) = frames.Decoder().feed(sent)
    assert (frames.asked(frame), frames.seconds(frame)) == (frames.Ask.EXPLAIN, 0.3)
    with pytest.raises(frames.FrameError, match="not a time"):
        frames.seconds(frames.Frame({"seconds": "soon"}))
