"""How the engine starts, wears out and stops: nothing is left behind, and every failure says why."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spamfilter import config
from spamfilter.engine import staff as staff_module
from spamfilter.engine.pool import EngineError, EnginePool
from spamfilter.verdict import Failure, FailureKind
from tests.engine.pool_setup import Gate, alive, hold, kinds, message, pid, send, until

pytestmark = pytest.mark.usefixtures("quiet")


# ---- workers that do not come up


async def test_start_says_why_a_bundle_cannot_be_loaded(engine: Callable[..., EnginePool], tmp_path: Path) -> None:
    (tmp_path / "bad").touch()
    pool = engine(workers=2)
    with pytest.raises(EngineError, match=r"weights\.onnx: hash differs") as caught:
        await pool.start()
    assert str(tmp_path) in str(caught.value)
    assert not pool._staff._processes
    assert kinds(await pool.score(message())) == ["engine_down"]


async def test_start_gives_the_last_words_of_a_worker_that_dies(engine: Callable[..., EnginePool]) -> None:
    with pytest.raises(EngineError, match="no such instruction"):
        await engine("tests.engine.scripted:load_dies").start()


async def test_start_does_not_wait_for_ever(tmp_path: Path) -> None:
    settings = config.load(environ={}).engine
    pool = EnginePool(settings, tmp_path, factory="tests.engine.scripted:load_hangs", start_timeout_s=0.3)
    with pytest.raises(EngineError, match=r"not ready within 0\.3 s"):
        await pool.start()


async def test_start_can_be_cancelled(engine: Callable[..., EnginePool]) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    starting = asyncio.create_task(engine("tests.engine.scripted:load_hangs", workers=2).start())
    await until(lambda: len(set(children.read_text().split()) - before) == 2)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert set(children.read_text().split()) <= before


async def test_a_bundle_gone_bad_is_engine_down_until_it_is_good_again(
    engine: Callable[..., EnginePool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff_module, "_FIRST_DELAY_S", 0.02)
    async with engine() as pool:
        (tmp_path / "bad").touch()
        waiting = send(pool, message("CRASH"), message())
        assert kinds(*await asyncio.gather(*waiting)) == ["engine_down", "engine_down"]
        assert await pool.score(message()) == Failure(FailureKind.ENGINE_DOWN, "no worker becomes ready; see the log")
        assert pool.stats.workers == ()
        (tmp_path / "bad").unlink()
        await until(lambda: pool.stats.workers)
        assert kinds(await pool.score(message())) == ["scored"]


def test_back_off_doubles_to_its_limit(engine: Callable[..., EnginePool]) -> None:
    staff = engine()._staff
    delays = []
    for staff._starts_failed in range(12):
        delays.append(staff._delay_s())
    assert delays == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10]
    staff._starts_failed = 0
    delays = []
    for staff._barren_deaths in range(9):
        delays.append(staff._delay_s())
    assert delays == [0, 0, 0, 0, 0, 0, 0.1, 0.2, 0.4]
    staff._barren_deaths = 10**6
    assert staff._delay_s() == 10


# ---- replacing and stopping


async def test_a_worn_worker_is_replaced_without_a_gap(engine: Callable[..., EnginePool]) -> None:
    async with engine(recycle_after=3) as pool:
        first = pool.stats.workers[0].pid
        pids = [pid(await pool.score(message())) for _ in range(3)]
        assert pids == [first] * 3
        while (successor := pid(await pool.score(message()))) == first:  # the old one serves until the new one can
            pass
        assert (pool.stats.recycled, pool.stats.restarts, pool.stats.failures) == (1, 0, {})
        await until(lambda: not alive(first))
        assert successor == pool.stats.workers[0].pid


async def test_a_worn_worker_finishes_its_batch(engine: Callable[..., EnginePool], gate: Gate) -> None:
    async with engine(recycle_after=1) as pool:
        first = pid(await pool.score(message()))
        held = await hold(pool, gate)
        await until(lambda: pool.stats.recycled == 1)
        gate.open()
        assert pid(await held) == first
        await until(lambda: not alive(first))
        assert pool.stats.restarts == 0


async def test_a_worn_worker_serves_on_when_no_other_comes_up(
    engine: Callable[..., EnginePool], tmp_path: Path
) -> None:
    async with engine(recycle_after=1) as pool:
        (tmp_path / "bad").touch()
        first = pid(await pool.score(message()))
        await until(lambda: pool._staff._starts_failed >= 2)
        assert pid(await pool.score(message())) == first


async def test_stop_finishes_what_was_accepted_and_takes_nothing_new(
    engine: Callable[..., EnginePool], gate: Gate
) -> None:
    pool = engine()
    await pool.start()
    accepted = [await hold(pool, gate), *send(pool, message(), message())]
    await until(lambda: pool.stats.queue_messages == 2)
    stopping = asyncio.create_task(pool.stop(30))
    await until(lambda: not pool._accepting)
    assert await pool.score(message()) == Failure(FailureKind.ENGINE_DOWN, "the engine is not running")
    gate.open()
    await stopping
    assert kinds(*await asyncio.gather(*accepted)) == ["scored"] * 3


async def test_stop_fails_what_is_left_after_the_grace(engine: Callable[..., EnginePool], gate: Gate) -> None:
    pool = engine()
    await pool.start()
    (worker,) = pool.stats.workers
    accepted = [await hold(pool, gate), *send(pool, message())]
    await until(lambda: pool.stats.queue_messages == 1)
    await pool.stop(0.05)
    assert kinds(*await asyncio.gather(*accepted)) == ["engine_down", "engine_down"]
    assert not alive(worker.pid) and pool.stats.queue_messages == 0
    await pool.stop(0.05)


async def test_stop_leaves_no_process_no_task_no_descriptor(engine: Callable[..., EnginePool]) -> None:
    descriptors = Path("/proc/self/fd")
    before, tasks = len(list(descriptors.iterdir())), asyncio.all_tasks()
    async with engine(workers=2) as pool:
        pids = [worker.pid for worker in pool.stats.workers]
        await pool.score(message("CRASH"))
    await until(lambda: len(list(descriptors.iterdir())) <= before)
    assert asyncio.all_tasks() == tasks
    assert not any(map(alive, pids))


DAEMON = """
import asyncio, sys
from pathlib import Path
from spamfilter import config
from spamfilter.engine.pool import EnginePool
from spamfilter.message import Message

async def main():
    pool = EnginePool(config.load(environ={}).engine.model_copy(update={"workers": 2}), Path("."),
                      factory="tests.engine.scripted:load")
    await pool.start()
    hung = asyncio.create_task(pool.score(Message(b"SPIN", "cli")))
    while not any(worker.holding for worker in pool.stats.workers):
        await asyncio.sleep(0.005)
    print("PIDS", *(worker.pid for worker in pool.stats.workers), flush=True)
    await hung

asyncio.run(main())
"""


async def test_a_killed_daemon_leaves_no_worker_not_even_one_that_hangs() -> None:
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert daemon.stdout is not None
        while not (line := await daemon.stdout.readline()).startswith(b"PIDS"):
            assert line, "the daemon ended early"
        pids = [int(word) for word in line.split()[1:]]
        assert len(pids) == 2 and all(map(alive, pids))
    finally:
        daemon.kill()
        await daemon.communicate()
    await until(lambda: not any(map(alive, pids)))
