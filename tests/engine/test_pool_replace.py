"""Another bundle takes over while mail passes: no message fails, each is answered by one model, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from spamfilter.engine.pool import EngineError, EnginePool
from spamfilter.verdict import Failure, Score
from tests.engine.pool_setup import Gate, alive, hold, kinds, message, send, until

pytestmark = pytest.mark.usefixtures("quiet")

NAMED = "tests.engine.scripted:load_named"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Another bundle's folder; the engine's own is `tmp_path`."""
    folder = tmp_path / "new"
    folder.mkdir()
    return folder


def model(outcome: Score | Failure) -> str:
    assert isinstance(outcome, Score), outcome
    return outcome.model_id


def pids(pool: EnginePool) -> list[int]:
    return [worker.pid for worker in pool.stats.workers]


@pytest.mark.parametrize("workers", [1, 3])
async def test_the_new_bundle_takes_every_place_and_no_old_worker_is_left(
    engine: Callable[..., EnginePool], tmp_path: Path, new: Path, workers: int
) -> None:
    async with engine(NAMED, workers=workers) as pool:
        old = pids(pool)
        await pool.replace(new)
        assert {worker.model_id for worker in pool.stats.workers} == {"new"}
        assert len(pool.stats.workers) == len(pool._staff._processes) == workers
        assert not any(map(alive, old))
        assert (pool.stats.restarts, pool.stats.failures) == (0, {})
        assert {model(one) for one in await asyncio.gather(*send(pool, *(message() for _ in range(20))))} == {"new"}
        await pool.replace(tmp_path)  # and back
        assert model(await pool.score(message())) == tmp_path.name


async def test_options_go_with_the_bundle(engine: Callable[..., EnginePool], new: Path) -> None:
    async with engine("tests.engine.scripted:load_with", options={"turns_at": [0.5]}) as pool:
        assert model(await pool.score(message())) == "[('turns_at', [0.5])]"
        await pool.replace(new, {"turns_at": [0.25]})
        assert model(await pool.score(message())) == "[('turns_at', [0.25])]"


async def test_a_message_in_flight_is_answered_by_its_own_model(
    engine: Callable[..., EnginePool], tmp_path: Path, new: Path, gate: Gate
) -> None:
    async with engine(NAMED) as pool:
        held = await hold(pool, gate)
        replacing = asyncio.create_task(pool.replace(new))
        assert model(await pool.score(message())) == "new"  # although the old worker holds its message still
        assert not replacing.done()
        gate.open()
        assert model(await held) == tmp_path.name
        await replacing


async def test_under_load_no_message_fails_and_the_models_follow_each_other(
    engine: Callable[..., EnginePool], tmp_path: Path, new: Path
) -> None:
    answers: list[str] = []

    async def client() -> None:
        while not over.is_set():
            answers.append(model(await pool.score(message())))

    over = asyncio.Event()
    async with engine(NAMED, workers=2, recycle_after=400) as pool:
        async with asyncio.TaskGroup() as clients:
            for _ in range(8):
                clients.create_task(client())
            for bundle in (new, tmp_path, new):
                before = len(answers)
                await pool.replace(bundle)
                begun = len(answers)
                await until(lambda begun=begun: len(answers) > begun + 50)  # type: ignore[misc]
                assert begun > before, "mail passes while it is replaced"
                assert set(answers[begun:]) == {bundle.name}
            over.set()
        assert pool.stats.failures == {}
        assert pool.stats.restarts == 0


async def test_a_bundle_that_does_not_load_leaves_the_old_one_serving(
    engine: Callable[..., EnginePool], tmp_path: Path, new: Path
) -> None:
    (new / "bad").touch()
    async with engine(NAMED, workers=2) as pool:
        old = pids(pool)
        with pytest.raises(EngineError, match=r"new: .*weights\.onnx: hash differs"):
            await pool.replace(new)
        assert sorted(pids(pool)) == sorted(old)
        assert model(await pool.score(message())) == tmp_path.name
        (crashed,) = await asyncio.gather(*send(pool, message(f"CRASHONCE {tmp_path}/crashed")))
        assert model(crashed) == tmp_path.name  # nor does a later worker start with it
        await until(lambda: len(pool.stats.workers) == 2)
        assert {worker.model_id for worker in pool.stats.workers} == {tmp_path.name}


async def test_a_bundle_that_fails_at_the_second_worker_is_called_off_everywhere(
    engine: Callable[..., EnginePool], tmp_path: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spamfilter.engine.staff._STARTS_A_PLACE", 0)
    (new / "bad-after-one").touch()
    async with engine(NAMED, workers=2, deadline_s=1.0) as pool:
        with pytest.raises(EngineError, match="new: see the log"):
            await pool.replace(new)
        await until(lambda: [worker.model_id for worker in pool.stats.workers] == [tmp_path.name] * 2)
        assert kinds(await pool.score(message())) == ["scored"]
        assert pool.stats.failures == {}


async def test_a_worker_that_crashes_meanwhile_comes_back_with_the_new_bundle(
    engine: Callable[..., EnginePool], tmp_path: Path, new: Path
) -> None:
    async with engine(NAMED, workers=2) as pool:
        replacing = asyncio.create_task(pool.replace(new))
        outcomes = await asyncio.gather(*send(pool, *(message(f"CRASHONCE {tmp_path}/{n}") for n in range(2))))
        await replacing
        assert kinds(*outcomes) == ["scored"] * 2
        await until(lambda: [worker.model_id for worker in pool.stats.workers] == ["new"] * 2)
        await until(lambda: len(pool._staff._processes) == 2)


async def test_a_good_bundle_brings_an_engine_back_that_was_down(
    engine: Callable[..., EnginePool], tmp_path: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spamfilter.engine.staff._FIRST_DELAY_S", 0.02)
    async with engine(NAMED) as pool:
        (tmp_path / "bad").touch()
        assert kinds(await pool.score(message("CRASH"))) == ["engine_down"]
        assert pool.stats.workers == ()
        await pool.replace(new)
        await until(lambda: pool.stats.workers)
        assert model(await pool.score(message())) == "new"
        assert len(pool._staff._processes) == 1


async def test_while_it_is_down_the_last_of_two_bundles_is_the_one_that_serves(
    engine: Callable[..., EnginePool], tmp_path: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spamfilter.engine.staff._FIRST_DELAY_S", 1.0)
    last = tmp_path / "last"
    last.mkdir()
    async with engine(NAMED) as pool:
        (tmp_path / "bad").touch()
        assert kinds(await pool.score(message("CRASH"))) == ["engine_down"]
        await pool.replace(new)
        await pool.replace(last)  # the place has not tried again yet
        await until(lambda: pool.stats.workers)
        assert model(await pool.score(message())) == "last"
        await until(lambda: len(pool._staff._processes) == 1)


async def test_before_the_start_it_sets_what_is_started(engine: Callable[..., EnginePool], new: Path) -> None:
    pool = engine(NAMED)
    await pool.replace(new)
    async with pool:
        assert model(await pool.score(message())) == "new"


async def test_stopping_while_it_is_replaced_leaves_no_process(
    engine: Callable[..., EnginePool], new: Path, gate: Gate
) -> None:
    pool = engine(NAMED, workers=2)
    await pool.start()
    held = await hold(pool, gate)
    replacing = asyncio.create_task(pool.replace(new))
    await until(lambda: len(pool._staff._processes) == 3)
    processes = [worker.pid for worker in pool._staff._processes]
    gate.open()
    await pool.stop(30)
    replacing.cancel()
    await asyncio.gather(replacing, return_exceptions=True)
    assert kinds(await held) == ["scored"]
    await until(lambda: not any(map(alive, processes)))
    assert not pool._staff._processes


async def test_two_replacements_follow_each_other(engine: Callable[..., EnginePool], tmp_path: Path, new: Path) -> None:
    last = tmp_path / "last"
    last.mkdir()
    async with engine(NAMED) as pool:
        await asyncio.gather(pool.replace(new), pool.replace(last))
        assert model(await pool.score(message())) == "last"
        assert len(pool._staff._processes) == 1
