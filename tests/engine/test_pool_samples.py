"""Samples by real workers: mail leaves rows, goes first, and loses one worker at most to a message made for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spamfilter.classifier.sampled import Sampled, unpack
from spamfilter.engine.pool import EnginePool
from spamfilter.sampling import Sampler
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.samples import SampleStore
from spamfilter.verdict import Failure, FailureKind, Score
from tests.engine.pool_setup import Gate, hold, message, until

pytestmark = pytest.mark.usefixtures("quiet")


async def test_mail_goes_through_workers_and_leaves_rows(
    engine: Callable[..., EnginePool],
    tmp_path: Path,
) -> None:
    url = store_url("", tmp_path)
    log = DecisionStore(url)
    log.open()
    store = SampleStore(url, keep=500, days=14)
    async with engine() as pool:
        made = Sampler(pool, store, share=1.0, every_s=0.0)
        await made.start()
        for number in range(3):
            assert isinstance(await made.score(message(f"minutes of the meeting {number}")), Score)
            assert made._work is not None
            await made._work
        assert made.kept == 3 and pool.stats.processed == 3  # a sample is no scan
        found = store.recent(frozenset({"scripted-1"}), 500)
        assert len(found) == 3 and unpack(found[0]).pooled.tolist() == [1, 1, 1]
        await made.stop(1)
    log.close()


async def test_a_sample_waits_for_no_mail_and_costs_one_worker_at_most(
    engine: Callable[..., EnginePool],
    gate: Gate,
) -> None:
    async with engine(workers=2, deadline_s=4.0) as pool:
        held = await hold(pool, gate)
        busy = await pool.sample(message())
        assert isinstance(busy, Failure) and busy.kind is FailureKind.OVERLOAD
        gate.open()
        await held
        before = pool.stats.restarts
        for text, kind in (("CRASH", FailureKind.UNPARSABLE), ("HANG", FailureKind.TIMEOUT)):
            failed = await pool.sample(message(text))
            assert isinstance(failed, Failure) and failed.kind is kind
            assert isinstance(await pool.score(message()), Score)
            await until(lambda: len(pool.stats.workers) == 2)
        assert pool.stats.restarts == before + 2
        refused = await pool.sample(message("RAISE\nsecret"))
        assert isinstance(refused, Failure) and refused.kind is FailureKind.UNPARSABLE
        assert "secret" not in refused.detail
        assert isinstance(await pool.sample(message("hello")), Sampled)
