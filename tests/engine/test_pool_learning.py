"""What learning needs of the engine: a message examined by a worker, and a correction that running workers follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spamfilter import config
from spamfilter.classifier import load
from spamfilter.classifier.bundle import default_bundle
from spamfilter.classifier.examined import Examined
from spamfilter.classifier.memory import Exemplar, Memory, file_of
from spamfilter.document import extract
from spamfilter.engine.pool import EnginePool
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Label, Score
from tests.classifier.campaign import FIRST, FOREIGN, NEXT
from tests.engine.pool_setup import Gate, hold, kinds, message, send, until

pytestmark = pytest.mark.usefixtures("quiet")


async def test_a_worker_examines(engine: Callable[..., EnginePool]) -> None:
    async with engine() as pool:
        examined, scored = await asyncio.gather(pool.examine(message("hello world")), pool.score(message()))
        assert isinstance(examined, Examined) and isinstance(scored, Score)
        assert examined.document.text == "hello world" and examined.score.model_id == "scripted-1"
        assert examined.fingerprint.dtype == np.uint32 and examined.pooled.dtype == np.float16
        assert pool.stats.processed == 1  # an examination is no scan


async def test_an_examination_fails_as_a_scan_does(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine(queue_messages=1, deadline_s=2.0) as pool:
        assert await pool.examine(message("TOOLARGE")) == Failure(FailureKind.TOO_LARGE, "as told")
        held = await hold(pool, gate)
        (waiting,) = send(pool, message())
        await until(lambda: pool.stats.queue_messages == 1)
        full = await pool.examine(message())
        assert isinstance(full, Failure) and full.kind is FailureKind.OVERLOAD
        gate.open()
        assert kinds(*await asyncio.gather(held, waiting)) == ["scored", "scored"]
        late = await pool.examine(message("HANG"))
        assert isinstance(late, Failure) and late.kind is FailureKind.TIMEOUT
        assert pool.stats.failures == {}
    down = await pool.examine(message())
    assert isinstance(down, Failure) and down.kind is FailureKind.ENGINE_DOWN


async def test_what_a_dead_worker_was_to_examine_is_examined_by_the_next(
    engine: Callable[..., EnginePool], tmp_path: Path
) -> None:
    async with engine() as pool:
        assert isinstance(await pool.examine(message(f"CRASHONCE {tmp_path / 'crashed'}")), Examined)
        assert pool.stats.restarts <= 1


async def test_a_correction_takes_effect_in_running_workers_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "memory.npz"
    options = {"turns_at": [0.6, 0.97], "campaigns": 64, "campaign_s": 60.0, "memory": str(path)}
    settings = config.load(environ={}).engine.model_copy(update={"workers": 2, "deadline_s": 60.0})
    first, following, foreign = (Message(raw, "test") for raw in (FIRST, NEXT, FOREIGN))
    async with EnginePool(settings, default_bundle(), options=options) as pool:
        before = [await pool.score(following), await pool.score(foreign)]
        assert all(isinstance(one, Score) and one.recalled is None for one in before)
        examined = await pool.examine(first)
        assert isinstance(examined, Examined)
        for label in (Label.SPAM, Label.HAM):  # the last word counts
            exemplar = Exemplar("c" * 64, label, time.time(), examined.fingerprint, examined.pooled)
            Memory(examined.score.model_id, [exemplar]).save(file_of(path, examined.score.model_id))
            await asyncio.sleep(0.5)
            both = await asyncio.gather(*(pool.score(following) for _ in range(8)))
            for outcome in both:
                assert isinstance(outcome, Score) and outcome.recalled is not None
                assert (outcome.recalled.label, outcome.recalled.content) == (label, "c" * 64)
                assert outcome.probability >= 0.99 if label is Label.SPAM else outcome.probability <= 0.01
        after = await pool.score(foreign)
        assert isinstance(after, Score) and isinstance(before[1], Score)
        assert (after.probability, after.recalled) == (before[1].probability, None)
        last = await pool.score(following)
    async with EnginePool(settings, default_bundle(), options=options) as again:  # it survives a restart
        restarted = await again.score(following)
    [alone] = load(default_bundle(), turns_at=(0.6, 0.97), memory=path).score([following])
    for one in (restarted, alone):
        assert isinstance(one, Score) and isinstance(last, Score)
        assert (one.probability, one.recalled) == (last.probability, last.recalled)


async def test_a_worker_reads_a_kept_document(engine: Callable[..., EnginePool]) -> None:
    document = extract(b"Subject: kept\n\nthe text of a labelled mail\n")
    async with engine() as pool:
        examined = await pool.examine_document(document)
    assert isinstance(examined, Examined)
    assert examined.document == document
