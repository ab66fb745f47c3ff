"""Each promise of the engine, kept by real processes that are crashed, hung, starved and killed."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from spamfilter.engine import staff as staff_module
from spamfilter.engine.pool import EnginePool
from spamfilter.message import Envelope, Kind, Message, Peer
from spamfilter.verdict import Failure, FailureKind, Score
from tests.engine.pool_setup import Gate, alive, hold, kinds, message, pid, send, until

pytestmark = pytest.mark.usefixtures("quiet")


# ---- the happy path


async def test_scores_and_tells_who_did_it(engine: Callable[..., EnginePool]) -> None:
    async with engine() as pool:
        outcome = await pool.score(message())
        (worker,) = pool.stats.workers
        assert pid(outcome) == worker.pid != os.getpid()
        assert isinstance(outcome, Score) and outcome.probability == 0.25 and outcome.stages["threads"] == 1
        assert worker.model_id == outcome.model_id == "scripted-1"
        assert worker.rss_mib > 1 and worker.answered == 1 and worker.holding == 0
        assert pool.stats.processed == 1 and pool.stats.failures == {}
    assert pool.stats.workers == () and not alive(worker.pid)


async def test_message_arrives_whole(engine: Callable[..., EnginePool]) -> None:
    envelope = Envelope("", ("a@example.org", "bad\udcff@example.org"), Peer("192.0.2.1", 25, "mx"))
    body = b"ECHO\n" + bytes(range(256)) * 40_000
    async with engine() as pool:
        outcome = await pool.score(Message(body, "smtp", envelope, Kind.TEXT, "id-7"))
    assert isinstance(outcome, Score) and outcome.stages["bytes"] == len(body)
    assert outcome.model_id == repr((envelope, Kind.TEXT, "id-7"))


async def test_a_free_worker_takes_all_that_waits(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine(batch=4) as pool:
        held = await hold(pool, gate)
        waiting = send(pool, *(message() for _ in range(6)))
        await until(lambda: pool.stats.queue_messages == 6)
        gate.open()
        outcomes = await asyncio.gather(*waiting)
        assert isinstance(await held, Score)
        batches = [(int(o.stages["batch"]), int(o.stages["place"])) for o in outcomes if isinstance(o, Score)]
        assert batches == [(4, 0), (4, 1), (4, 2), (4, 3), (2, 0), (2, 1)]


async def test_one_message_does_not_wait_for_a_batch_to_fill(engine: Callable[..., EnginePool]) -> None:
    async with engine(batch=256) as pool:
        outcome = await pool.score(message())
        assert isinstance(outcome, Score) and outcome.stages["batch"] == 1


async def test_all_workers_work(engine: Callable[..., EnginePool], tmp_path: Path) -> None:
    gates = [Gate(tmp_path / name) for name in "ab"]
    async with engine(workers=2) as pool:
        tasks = send(pool, *(gate.message for gate in gates))
        await until(lambda: [worker.holding for worker in pool.stats.workers] == [1, 1])
        for gate in gates:
            gate.open()
        assert len({pid(await task) for task in tasks}) == 2


async def test_the_classifier_gets_its_options(engine: Callable[..., EnginePool]) -> None:
    options = {"turns_at": [0.5, 0.9], "campaigns": 8}
    async with engine("tests.engine.scripted:load_with", options=options) as pool:
        outcome = await pool.score(message())
    assert isinstance(outcome, Score)
    assert outcome.model_id == "[('campaigns', 8), ('turns_at', [0.5, 0.9])]"


async def test_it_is_counted_how_often_the_gpt_was_asked_and_a_text_was_known(
    engine: Callable[..., EnginePool],
) -> None:
    async with engine() as pool:
        for text in ("STAGES ngram facts gpt", "STAGES ngram facts", "STAGES ngram gpt\nKNOWN", "STAGES ngram\nKNOWN"):
            await pool.score(message(text))
        assert (pool.stats.processed, pool.stats.asked_gpt, pool.stats.known) == (4, 1, 2)


async def test_a_worker_is_not_told_the_settings_of_the_daemon(
    engine: Callable[..., EnginePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAMFILTER__STORE__URL", "postgresql://me:secret@host/db")
    async with engine() as pool:
        environment = Path(f"/proc/{pool.stats.workers[0].pid}/environ").read_bytes()
    assert b"OMP_NUM_THREADS=1" in environment and b"secret" not in environment


async def test_failures_of_the_classifier_are_handed_on_and_counted(engine: Callable[..., EnginePool]) -> None:
    async with engine() as pool:
        assert await pool.score(message("TOOLARGE")) == Failure(FailureKind.TOO_LARGE, "as told")
        assert kinds(await pool.score(message("RAISE"))) == ["unparsable"]
        assert pool.stats.failures == {FailureKind.TOO_LARGE: 1, FailureKind.UNPARSABLE: 1}
        assert pool.stats.restarts == 0


# ---- bounds


async def test_a_full_queue_is_answered_at_once(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine(queue_messages=2) as pool:
        held = await hold(pool, gate)
        waiting = send(pool, message(), message())
        await until(lambda: pool.stats.queue_messages == 2)
        refused = await pool.score(message())
        assert refused == Failure(FailureKind.OVERLOAD, "2 messages wait for a worker")
        gate.open()
        assert kinds(*await asyncio.gather(held, *waiting)) == ["scored"] * 3


async def test_bytes_are_bounded_too(engine: Callable[..., EnginePool], gate: Gate) -> None:
    big = message("x" * 700_000)
    async with engine(queue_mib=1) as pool:
        held = await hold(pool, gate)
        (waiting,) = send(pool, big)
        await until(lambda: pool.stats.queue_bytes == 700_000)
        assert kinds(await pool.score(big)) == ["overload"]
        gate.open()
        assert kinds(await held, await waiting) == ["scored", "scored"]


async def test_a_caller_who_leaves_frees_his_place(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine(queue_messages=1) as pool:
        held = await hold(pool, gate)
        (impatient,) = send(pool, message())
        await until(lambda: pool.stats.queue_messages == 1)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        assert (pool.stats.queue_messages, pool.stats.queue_bytes) == (0, 0)
        (patient,) = send(pool, message())
        gate.open()
        assert kinds(await held, await patient) == ["scored", "scored"]


async def test_a_caller_who_leaves_while_a_worker_has_his_message_disturbs_nobody(
    engine: Callable[..., EnginePool], gate: Gate
) -> None:
    async with engine() as pool:
        held = await hold(pool, gate)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        gate.open()
        assert kinds(await pool.score(message())) == ["scored"]
        assert pool.stats.restarts == 0


# ---- deadlines


async def test_a_message_that_still_waits_at_its_deadline_times_out(
    engine: Callable[..., EnginePool], gate: Gate
) -> None:
    async with engine(deadline_s=1.0) as pool:
        tasks = [await hold(pool, gate), *send(pool, message())]
        outcomes = await asyncio.gather(*tasks)
        assert kinds(*outcomes) == ["timeout", "timeout"]
        assert [o.detail for o in outcomes if isinstance(o, Failure)] == [
            "no verdict within 1 s (in a worker)",
            "no verdict within 1 s (in the queue)",
        ]
        assert pool.stats.queue_messages == 0


@pytest.mark.parametrize("hang", ["HANG", "SPIN"])
async def test_a_worker_that_hangs_is_killed_and_replaced(engine: Callable[..., EnginePool], hang: str) -> None:
    async with engine(deadline_s=0.8) as pool:
        (before,) = pool.stats.workers
        assert kinds(await pool.score(message(hang))) == ["timeout"]
        await until(lambda: pool.stats.restarts == 1)
        assert not alive(before.pid)
        assert pid(await pool.score(message())) != before.pid


async def test_the_mates_of_a_message_that_hangs_are_scored(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine(deadline_s=6.0) as pool:
        held = await hold(pool, gate)
        batch = send(pool, message(), message("HANG"), message())
        await until(lambda: pool.stats.queue_messages == 3)
        gate.open()
        assert isinstance(await held, Score)
        assert kinds(*await asyncio.gather(*batch)) == ["scored", "timeout", "scored"]
        assert batch[1].result() == Failure(FailureKind.TIMEOUT, "hung two workers")
        assert pool.stats.restarts == 2


async def test_a_worker_is_not_killed_for_a_message_that_came_late_to_it(
    engine: Callable[..., EnginePool], tmp_path: Path
) -> None:
    """Under overload a message may reach a worker just before its deadline; killing would lose the rest, too."""
    first, second = Gate(tmp_path / "first"), Gate(tmp_path / "second")
    async with engine(deadline_s=2.0) as pool:
        (before,) = pool.stats.workers
        await hold(pool, first)
        (late,) = send(pool, second.message)
        await asyncio.sleep(1.8)
        first.open()
        assert kinds(await late) == ["timeout"]
        second.open()
        assert pid(await pool.score(message())) == before.pid


async def test_a_worker_that_answers_as_it_is_killed_gets_no_more_work(
    engine: Callable[..., EnginePool], gate: Gate, tmp_path: Path
) -> None:
    async with engine() as pool:
        held = await hold(pool, gate)
        (waiting,) = send(pool, message(f"CRASHONCE {tmp_path / 'crashed'}"))
        await until(lambda: pool.stats.queue_messages == 1)
        (process,) = pool._staff._processes
        pipe = process._transport.get_pipe_transport(1)
        assert pipe is not None
        gate.open()
        assert select.select([pipe.get_extra_info("pipe")], [], [], 30)[
            0
        ]  # the answer is there, the loop has not seen it
        pool._staff.end_hung(process)
        assert kinds(await held, await waiting) == ["scored", "scored"]  # not charged with the death of the first


# ---- crashes


@pytest.mark.parametrize("crash, how", [("CRASH", "ended with status 3"), ("ABORT", "ended by SIGABRT")])
async def test_a_message_that_crashes_two_workers_fails(
    engine: Callable[..., EnginePool], crash: str, how: str
) -> None:
    async with engine() as pool:
        outcome = await pool.score(message(crash))
        assert outcome == Failure(FailureKind.UNPARSABLE, f"crashed two workers ({how})")
        assert kinds(await pool.score(message())) == ["scored"]
        assert pool.stats.restarts == 2 and pool.stats.failures == {FailureKind.UNPARSABLE: 1}


async def test_a_crash_is_logged_with_the_place_in_the_code_and_without_the_mail(
    engine: Callable[..., EnginePool],
) -> None:
    with structlog.testing.capture_logs() as events:
        async with engine() as pool:
            await pool.score(message("PRINT\nABORT"))
    report = next(event for event in events if event["event"] == "engine.worker_gone")["report"]
    assert report.startswith("Fatal Python error: Aborted") and "scripted.py" in report
    assert "corrupt" not in report


async def test_a_crash_that_does_not_come_again_costs_nothing(
    engine: Callable[..., EnginePool], tmp_path: Path
) -> None:
    async with engine() as pool:
        assert kinds(await pool.score(message(f"CRASHONCE {tmp_path / 'crashed'}"))) == ["scored"]
        assert pool.stats.restarts == 1


async def test_the_mates_of_a_message_that_crashes_are_scored_each_alone(
    engine: Callable[..., EnginePool], gate: Gate
) -> None:
    async with engine() as pool:
        held = await hold(pool, gate)
        batch = send(pool, message(), message("CRASH"), message("CRASHINCOMPANY"))
        await until(lambda: pool.stats.queue_messages == 3)
        gate.open()
        assert isinstance(await held, Score)
        outcomes = await asyncio.gather(*batch)
        assert kinds(*outcomes) == ["scored", "unparsable", "scored"]
        assert [o.stages["batch"] for o in outcomes if isinstance(o, Score)] == [1, 1]


async def test_a_worker_killed_while_idle_is_replaced(engine: Callable[..., EnginePool]) -> None:
    async with engine(workers=2) as pool:
        victim = pool.stats.workers[0].pid
        os.kill(victim, signal.SIGKILL)
        await until(lambda: pool.stats.restarts == 1)
        assert victim not in {worker.pid for worker in pool.stats.workers} and len(pool.stats.workers) == 2
        assert kinds(*await asyncio.gather(*send(pool, *[message()] * 4))) == ["scored"] * 4


async def test_workers_that_only_die_are_the_engines_fault(
    engine: Callable[..., EnginePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where three different messages in a row kill everybody, something else is wrong: mail must be kept."""
    monkeypatch.setattr(staff_module, "_FIRST_DELAY_S", 0.001)
    async with engine() as pool:
        outcomes = [await pool.score(message("CRASH")) for _ in range(3)]
        assert kinds(*outcomes) == ["unparsable", "unparsable", "engine_down"]
        await until(lambda: pool.stats.workers)
        assert kinds(await pool.score(message())) == ["scored"]
        assert kinds(await pool.score(message("CRASH"))) == ["unparsable"]


async def test_a_worker_that_eats_memory_is_bounded(engine: Callable[..., EnginePool]) -> None:
    async with engine(memory_limit_mib=256) as pool:
        assert kinds(await pool.score(message("HOG 50"))) == ["scored"]
        outcome = await pool.score(message("HOG 512"))
        assert isinstance(outcome, Failure) and "MemoryError" in outcome.detail
        assert kinds(await pool.score(message())) == ["scored"]


async def test_nonsense_on_the_pipe_costs_the_worker_its_place(engine: Callable[..., EnginePool]) -> None:
    async with engine() as pool:
        (process,) = pool._staff._processes
        process.pipe_data_received(1, b"\xff" * 64)
        await until(lambda: pool.stats.restarts == 1)
        assert kinds(await pool.score(message())) == ["scored"]
