"""The engine follows the registry, a bad model leaves the old one serving, and corrections take a model back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from spamfilter.bundles import DEFAULT, Bundles, is_whole
from spamfilter.classifier.bundle import BundleError, open_bundle, write_manifest
from spamfilter.config import Config, ConfigError, RollbackSettings, load
from spamfilter.correction import Corrected
from spamfilter.engine.pool import EngineError
from spamfilter.model_watch import (
    ModelWatch,
    Record,
    Served,
    first_choice,
    prepare,
    reason_to_go_back,
    records,
)
from spamfilter.policy import Policy
from spamfilter.verdict import Label

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def rollback(**changes: object) -> RollbackSettings:
    """The shipped settings, but for `changes`."""
    return load(environ={}).model.rollback.model_copy(update=changes)


def make(folder: Path, spam_at: float) -> Path:
    """A whole bundle with this one threshold."""
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(folder.name.encode())
    table = [{"false_positive_rate": 0.001, "probability": spam_at}]
    write_manifest(folder, folder.name, {"ensemble": {}, "thresholds": table})
    return folder


class ScriptedEngine:
    """Serves what it is told to, but for bundles in `bad`."""

    def __init__(self) -> None:
        self.bundle: Path | None = None
        self.options: Mapping[str, Any] | None = None
        self.running = False
        self.bad: set[str] = set()
        self.slow = asyncio.Event()
        self.slow.set()

    async def start(self) -> None:
        assert self.bundle is not None
        if self.bundle.name in self.bad:
            raise EngineError(f"{self.bundle}: self-test failed")
        self.running = True

    async def stop(self, grace_s: float) -> None:
        self.running = False

    async def replace(self, bundle: Path, options: Mapping[str, Any] | None = None) -> None:
        await self.slow.wait()
        if self.running and bundle.name in self.bad:
            raise EngineError(f"{bundle}: self-test failed")
        self.bundle, self.options = bundle, options


class Judge:
    def __init__(self) -> None:
        self.policies: list[tuple[str, float]] = []

    def serve(self, policy: Policy, model_id: str) -> None:
        self.policies.append((model_id.partition("-")[0], policy.thresholds.spam_at))


class House:
    """A registry with models a, b and c over a shipped one, and what watches it."""

    def __init__(self, root: Path) -> None:
        self.state_dir = root / "state"
        self.bundles = Bundles(self.state_dir, check=is_whole)
        for name, spam_at in (("a", 0.8), ("b", 0.7), ("c", 0.6)):
            self.bundles.install(make(root / "sources" / name, spam_at), keep_name=name)
        self.engine, self.judge = ScriptedEngine(), Judge()

    def config(self, **overrides: Any) -> Config:
        return load(environ={}, state_dir=str(self.state_dir), **overrides)

    def watch(self, **options: Any) -> ModelWatch:
        self.engine, self.judge = ScriptedEngine(), Judge()
        config = options.pop("config", None) or self.config()
        return ModelWatch(config, self.engine, self.judge, every_s=0.005, **options)

    def activate(self, *names: str) -> None:
        for name in names:
            self.bundles.activate(name, "as told", "a test")

    def spoil(self, name: str) -> None:
        (self.bundles.path(name) / "weights.bin").write_bytes(b"other")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    shipped = make(tmp_path / "shipped", 0.9)
    monkeypatch.setattr("spamfilter.classifier.bundle.default_bundle", lambda: shipped)
    monkeypatch.setattr("spamfilter.operating_point.default_bundle", lambda: shipped)
    return House(tmp_path)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


async def until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.002)


def events(logged: list[Any]) -> list[str]:
    return [line["event"] for line in logged]


# ---- at the start


async def test_it_starts_what_was_activated_with_its_policy(house: House) -> None:
    house.activate("a")
    watch = house.watch()
    await watch.start()
    assert house.engine.running and house.engine.bundle == house.bundles.path("a")
    assert house.judge.policies == [("a", 0.8)]
    assert house.engine.options is not None and house.engine.options["turns_at"][-1] == 0.8
    await watch.stop(1)
    assert not house.engine.running
    await watch.stop(0)


@pytest.mark.parametrize("how", ["hashes", "gone", "self-test"])
async def test_a_damaged_model_gives_way_to_the_one_before(house: House, logged: list[Any], how: str) -> None:
    house.activate("a", "b")
    watch = house.watch()
    match how:
        case "hashes":
            house.spoil("b")
        case "gone":
            shutil.rmtree(house.bundles.path("b"))
        case "self-test":
            house.engine.bad.add("b")
    await watch.start()
    assert house.engine.bundle == house.bundles.path("a")
    refused = next(line for line in logged if line["event"] == "model.refused")
    assert (refused["log_level"], refused["model"], refused["serving"]) == ("error", "b", "a")
    assert house.bundles.link() == "b"  # mended, it serves at the next start
    await watch.stop(1)


async def test_at_the_worst_the_shipped_one_serves(house: House, logged: list[Any]) -> None:
    house.activate("a", "b")
    house.spoil("a")
    house.spoil("b")
    watch = house.watch()
    await watch.start()
    assert house.engine.bundle is not None and house.engine.bundle.name == "shipped"
    assert events(logged).count("model.refused") == 2
    await watch.stop(1)


async def test_where_nothing_comes_up_the_first_reason_is_told(house: House) -> None:
    house.activate("a")
    watch = house.watch()
    house.engine.bad |= {"a", "shipped"}
    with pytest.raises(EngineError, match="a: self-test failed"):
        await watch.start()
    assert house.bundles.link() == "a"
    await watch.stop(0)


async def test_a_pinned_bundle_is_neither_replaced_nor_watched(house: House) -> None:
    watch = house.watch(config=house.config(model__bundle="b"))
    await watch.start()
    house.activate("a")
    await asyncio.sleep(0.05)
    assert house.engine.bundle == house.bundles.path("b")
    await watch.stop(1)
    house.spoil("b")
    with pytest.raises(BundleError, match="does not match"):
        first_choice(house.config(model__bundle="b"))
    with pytest.raises(EngineError, match="does not match"):
        await house.watch(config=house.config(model__bundle="b")).start()


def test_the_first_choice_is_the_first_that_is_whole(house: House) -> None:
    house.activate("a", "b")
    assert first_choice(house.config()).name == "b"
    house.spoil("b")
    assert first_choice(house.config()).name == "a"
    house.spoil("a")
    assert first_choice(house.config()).name == DEFAULT
    house.activate("c")
    with pytest.raises(ConfigError, match=r"above the spam threshold of c-\w+ \(0\.6000\)"):
        first_choice(house.config(policy__unsure_at=0.95))


async def test_what_was_chosen_is_not_checked_again_unless_another_is_the_first_now(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def counted(config: Config, name: str, path: Path) -> Served:
        checked.append(name)
        return prepare(config, name, path)

    house.activate("a")
    chosen = first_choice(house.config())
    monkeypatch.setattr("spamfilter.model_watch.prepare", counted)
    watch = house.watch(chosen=chosen)
    await watch.start()
    assert (checked, watch.served) == ([], chosen)
    assert house.engine.bundle == chosen.path and house.judge.policies == [("a", 0.8)]
    await watch.stop(1)
    house.activate("b")  # between the choice and the start
    watch = house.watch(chosen=chosen)
    await watch.start()
    assert checked == ["b"] and house.engine.bundle == house.bundles.path("b")
    await watch.stop(1)


# ---- while it runs


async def test_another_model_takes_over_and_its_policy_comes_first(house: House, logged: list[Any]) -> None:
    told: list[Served] = []
    ready, to_come = asyncio.Event(), asyncio.Event()

    async def upcoming(served: Served) -> None:
        to_come.set()
        await ready.wait()

    async def activated(served: Served) -> None:
        told.append(served)

    watch = house.watch(upcoming=upcoming, activated=activated)
    await watch.start()
    house.engine.slow.clear()
    house.activate("a")
    await to_come.wait()
    assert house.judge.policies == [("shipped", 0.9)]  # nothing has changed yet
    ready.set()
    await until(lambda: ("a", 0.8) in house.judge.policies)
    assert house.engine.bundle is not None and house.engine.bundle.name == "shipped"  # known before it scores
    house.engine.slow.set()
    await until(lambda: told)
    assert house.engine.bundle == house.bundles.path("a")
    assert told[0].name == "a" and watch.served == told[0]
    line = next(line for line in logged if line["event"] == "model.activated")
    assert line["model_id"].startswith("a-") and line["before"].startswith("shipped-")
    house.bundles.rollback("", "a test")
    await until(lambda: len(told) == 2)
    assert house.judge.policies[-1] == ("shipped", 0.9)
    await watch.stop(1)


@pytest.mark.parametrize("how", ["self-test", "hashes", "table", "policy"])
async def test_a_bad_model_is_withdrawn_and_the_old_one_serves_on(house: House, logged: list[Any], how: str) -> None:
    house.activate("a")
    watch = house.watch(config=house.config(policy__unsure_at=0.75) if how == "policy" else None)
    house.engine.bad |= {"b"} if how == "self-test" else set()
    await watch.start()
    if how == "table":
        path = house.bundles.path("b")
        write_manifest(path, "b", {"ensemble": {}, "thresholds": [{"probability": "high"}]})
    unchecked = Bundles(house.state_dir, check=lambda path: None)
    if how == "hashes":
        house.spoil("b")
    unchecked.activate("b", "", "a test")
    await until(lambda: house.bundles.history()[-1].by != "a test")
    assert (house.bundles.link(), "model.refused" in events(logged)) == ("a", True)
    assert house.engine.bundle == house.bundles.path("a")
    assert house.judge.policies[-1] == ("a", 0.8)
    last = house.bundles.history()[-1]
    assert (last.kind, last.name, last.by, last.why[:9]) == ("rollback", "a", "the daemon", "refused: ")
    assert house.bundles.before() == [DEFAULT]
    house.activate("c") if how != "policy" else house.bundles.activate(DEFAULT, "", "a test")
    expected = "shipped" if how == "policy" else "c"
    await until(lambda: house.engine.bundle is not None and house.engine.bundle.name == expected)
    await watch.stop(1)


async def test_the_watch_survives_whatever_goes_wrong(
    house: House, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = house.watch()
    await watch.start()

    async def broken(name: str) -> None:
        raise RuntimeError("as told")

    with monkeypatch.context() as patched:
        patched.setattr(watch, "_take_over", broken)
        house.activate("a")
        await until(lambda: "model.watch_in_trouble" in events(logged))
    house.activate("b")
    await until(lambda: house.engine.bundle == house.bundles.path("b"))
    await watch.stop(1)


async def test_it_stops_in_the_middle_of_a_change(house: House) -> None:
    watch = house.watch()
    await watch.start()
    house.engine.slow.clear()
    house.activate("a")
    await until(lambda: ("a", 0.8) in house.judge.policies)
    await watch.stop(1)
    assert not house.engine.running
    assert house.bundles.link() == "a"


# ---- corrections take a model back


def record(corrected: int, decisions: int, name: str = "new") -> Record:
    return Record(name, decisions, corrected)


@pytest.mark.parametrize(
    ("corrected", "decisions", "before", "back"),
    [
        (19, 19, record(0, 1000), False),  # too few to say anything
        (20, 200, record(0, 1000), True),
        (20, 20, record(0, 0), True),
        (25, 20, record(0, 0), True),  # corrections of decisions that were forgotten
        (20, 2000, record(0, 1000), False),  # 1 % and no more than the margin
        (60, 2000, record(0, 1000), True),
        (60, 2000, record(30, 1000), False),  # no worse than before
        (200, 2000, record(30, 1000), True),
    ],
)
def test_when_a_model_goes_back(corrected: int, decisions: int, before: Record, back: bool) -> None:
    reason = reason_to_go_back(record(corrected, decisions), before, rollback())
    assert (reason is not None) is back
    if reason:
        assert f"corrected {corrected} of {decisions} decisions of new" in reason


def test_switched_off_it_never_goes_back() -> None:
    assert reason_to_go_back(record(500, 500), record(0, 500), rollback(enabled=False)) is None


def test_the_bound_is_a_bound() -> None:
    """Of samples from a share of 2 %, few lie so far out that the bound passes it."""
    import random

    rng = random.Random(5)
    over = sum(
        Record("m", 1000, sum(rng.random() < 0.02 for _ in range(1000))).at_least(3.0) > 0.02 for _ in range(300)
    )
    assert over <= 3
    assert Record("m", 1000, 20).at_least(3.0) > 0.005
    assert record(0, 0).at_least(3.0) == record(0, 50).at_least(3.0) == record(0, 0).rate == 0.0


class Said:
    """Feedback as told: so many decisions, and these corrections."""

    def __init__(self, decisions: dict[str, int], corrections: Iterable[Corrected] = ()) -> None:
        self._decisions = decisions
        self.given = list(corrections)

    def corrections(self, since: datetime) -> Iterable[Corrected]:
        return [one for one in self.given if one.time >= since]

    def decisions(self, model_id: str, since: datetime) -> int:
        return self._decisions.get(model_id, 0)


def test_only_contradictions_of_the_models_own_time_count() -> None:
    ham, spam, unsure = Label.HAM, Label.SPAM, Label.UNSURE
    later, earlier = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
    said = Said(
        {"new": 10, "old": 100},
        [
            Corrected(later, "new", ham, spam),
            Corrected(later, "new", spam, ham),
            Corrected(later, "new", spam, spam),  # confirmed
            Corrected(later, "new", unsure, spam),
            Corrected(earlier, "new", ham, spam),  # of an earlier time in service
            Corrected(earlier, "old", ham, spam),
            Corrected(later, "third", ham, spam),
        ],
    )
    found = records(said, {"new": NOW, "old": NOW - timedelta(days=1)})
    assert found == {"new": Record("new", 10, 2), "old": Record("old", 100, 1)}


async def test_a_model_that_people_correct_is_taken_back_and_it_is_written_why(house: House, logged: list[Any]) -> None:
    house.activate("a", "b")
    a, b = (open_bundle(house.bundles.path(name)).model_id for name in "ab")
    said = Said({a: 5000, b: 300})
    watch = house.watch(feedback=said, config=house.config(model__rollback__every_s=0.001))
    await watch.start()
    await asyncio.sleep(0.05)
    assert house.bundles.link() == "b"
    said.given += [Corrected(datetime.now(UTC), b, Label.HAM, Label.SPAM)] * 40
    await until(lambda: house.engine.bundle == house.bundles.path("a"))
    last = house.bundles.history()[-1]
    assert (last.kind, last.name, last.by) == ("rollback", "a", "the daemon")
    assert f"corrected 40 of 300 decisions of {b}" in last.why
    assert "model.rolled_back" in events(logged)
    await asyncio.sleep(0.05)
    assert house.bundles.link() == "a"  # and there it stays
    await watch.stop(1)


async def test_a_store_that_cannot_be_read_is_no_reason(house: House, logged: list[Any]) -> None:
    class Broken(Said):
        def corrections(self, since: datetime) -> Iterable[Corrected]:
            raise OSError("the disk")

    house.activate("a")
    watch = house.watch(feedback=Broken({}), config=house.config(model__rollback__every_s=0.001))
    await watch.start()
    await until(lambda: "model.watch_in_trouble" in events(logged))
    house.activate("b")
    await until(lambda: house.engine.bundle == house.bundles.path("b"))
    assert events(logged).count("model.watch_in_trouble") <= 2
    await watch.stop(1)
