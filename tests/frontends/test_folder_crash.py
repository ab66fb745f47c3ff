"""Killed at any instant, or beside another daemon: every file comes out, as a rule once, at worst twice."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from spamfilter.frontends.folder.spool import Claimed, Spool
from spamfilter.message import new_message_id
from tests.fakes import FakeEngine, FakeLog
from tests.frontends.folder_setup import HAM, drop, files, frontend, quick_watch, served, until

__all__ = ["quick_watch"]  # for every test in here

ROOT = Path(__file__).parents[2]
ROUNDS = 6
CONCURRENCY = 4
STEPS = 14


def test_killed_at_random_instants_nothing_is_lost(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    dropped = 0
    for _ in range(ROUNDS):
        with _daemon(tmp_path) as daemon:
            for _ in range(60):  # in/7.eml and new/7.eml will meet in ham/
                drop(tmp_path / ("in", "new")[dropped % 2] / f"{dropped // 2}.eml", HAM + b"token <%d>\n" % dropped)
                dropped += 1
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(chance.uniform(0.0, 0.25))
            daemon.kill()
        assert set(_tokens(tmp_path, "in", "new", "work", "ham")) == set(range(dropped))
    with _daemon(tmp_path) as daemon:
        _wait_until_empty(tmp_path)
        daemon.terminate()
        assert daemon.wait(20) == 0
    found = _tokens(tmp_path, "ham")
    assert set(found) == set(range(dropped))
    assert len(found) - dropped <= ROUNDS * CONCURRENCY  # duplicates: only of what was in work when killed
    assert files(tmp_path, "in", "new", "work", "failed", "unsure", "spam") == []
    for path in files(tmp_path, "ham"):
        assert path.read_bytes().startswith(b"X-Spam-") and not path.name.startswith(".")


@pytest.mark.parametrize("taken", [False, True], ids=["free name", "taken name"])
@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
@pytest.mark.parametrize("step", range(STEPS))
def test_killed_before_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, links: bool, taken: bool
) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", _no_links)
    drop(tmp_path / "in" / "a.eml", HAM)
    spool = _spool(tmp_path)
    spool.open()
    if taken:
        (tmp_path / "ham" / "a.eml").write_bytes(b"taken")
    killed = _killed_at(step, tmp_path, spool)
    spool.close()  # this process held the lock too
    with contextlib.closing(_spool(tmp_path)) as heir:
        heir.open()
        for claimed in heir.recover():
            _publish(heir, claimed, "unsure")  # a second scan may come to another verdict
        arrivals, _ = heir.scan(10)
        for arrival in arrivals:
            _publish(heir, heir.claim(arrival), "ham")
        heir.remove_orphans()
    found = files(tmp_path, "ham", "unsure")
    assert sorted(path.read_bytes() for path in found) == [b"marked\n" + HAM, b"taken"][: 1 + taken], (killed, found)
    assert files(tmp_path, "in", "work") == []
    assert killed or step >= 6  # the steps do cover the road


async def test_files_left_in_work_are_taken_again_and_said(tmp_path: Path) -> None:
    dead = tmp_path / "work" / new_message_id()
    drop(dead / f"{new_message_id()}.i.a.eml", HAM)
    drop(dead / f"{new_message_id()}.n.b", b"a text, but from a Maildir")
    drop(tmp_path / "work" / "put here by hand.eml", HAM)
    dead.with_name(f"{dead.name}.lock").touch()
    engine, log = FakeEngine(), FakeLog()
    with capture_logs() as logs:
        async with served(tmp_path, engine=engine, log=log):
            await until(lambda: len(log.settled) == 3)
    assert {p.name for p in files(tmp_path, "ham")} == {"a.eml", "b", "put here by hand.eml"}
    assert [line["event"] for line in logs].count("folder.recovered") == 3
    assert list((tmp_path / "work").iterdir()) == [] and {m.kind for m in engine.seen} == {"mail"}


async def test_a_living_daemons_files_are_not_taken(tmp_path: Path) -> None:
    first, second = FakeEngine(), FakeEngine()
    first.delay_s = 3600.0
    drop(tmp_path / "in" / "a.eml", HAM)
    log = FakeLog()
    async with served(tmp_path, engine=first, grace_s=0.01):
        await until(lambda: len(first.seen) == 1)
        async with served(tmp_path, engine=second, log=log, rescan_s=0.02):
            for n in range(1, 6):
                drop(tmp_path / "in" / f"{n}.tmp", HAM).rename(tmp_path / "in" / f"{n}.eml")
                await until(lambda n=n: len(log.settled) + len(first.seen) >= n + 1)  # type: ignore[misc]
            assert all(b"a.eml" not in str(p).encode() for p in files(tmp_path, "ham"))
    assert not {m.id for m in first.seen} & {m.id for m in second.seen}


async def test_a_running_daemon_takes_over_from_a_dead_one(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.delay_s = 3600.0
    drop(tmp_path / "in" / "a.eml", HAM)
    dying = frontend(tmp_path, engine=engine)
    await dying.start()
    await until(lambda: len(engine.seen) == 1)
    async with served(tmp_path, rescan_s=0.05):
        await dying.stop(0.01)  # leaves the file in work/ and lets go of its lock
        await until(lambda: (tmp_path / "ham" / "a.eml").exists())


async def test_two_daemons_share_the_work_and_process_each_file_once(tmp_path: Path) -> None:
    logs = FakeLog(), FakeLog()
    count = 300
    for n in range(count):
        drop(tmp_path / "in" / f"{n}.eml", HAM + b"token <%d>\n" % n)
    async with served(tmp_path, log=logs[0], rescan_s=0.05), served(tmp_path, log=logs[1], rescan_s=0.05):
        await until(lambda: len(logs[0].settled) + len(logs[1].settled) >= count)
    assert sorted(_tokens(tmp_path, "ham")) == list(range(count))
    assert all(log.settled for log in logs), "one daemon did all the work: the test shows nothing"


def _tokens(root: Path, *folders: str) -> list[int]:
    found = []
    for path in files(root, *folders):
        if not path.name.startswith("."):
            found += [int(n) for n in re.findall(rb"token <(\d+)>\n", path.read_bytes())]
    return found


@contextlib.contextmanager
def _daemon(root: Path) -> Any:
    """The frontend in a process of its own, ready; killed at the end if it still runs."""
    command = [sys.executable, "-m", "tests.frontends.folder_process", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line == "ready\n":
                    break
            else:
                pytest.fail("the daemon did not start")
            threading.Thread(target=process.stdout.read, daemon=True).start()  # so that it never waits for us
            yield process
        finally:
            process.kill()


def _wait_until_empty(root: Path) -> None:
    ended = threading.Event()
    for _ in range(3000):
        if not files(root, "in", "new", "work"):
            return
        ended.wait(0.01)
    pytest.fail(f"still there: {files(root, 'in', 'new', 'work')[:5]}")


def _spool(root: Path) -> Spool:
    return Spool(root, max_message_bytes=1_000_000, min_free_bytes=0)


def _publish(spool: Spool, claimed: Claimed | None, result: str) -> None:
    assert claimed is not None
    content = spool.read(claimed)
    spool.publish(claimed, content, result, [b"marked\n", content.raw])


def _no_links(self: Path, target: object) -> None:
    raise PermissionError(1, "Operation not permitted", str(self))


def _killed_at(step: int, root: Path, spool: Spool) -> bool:
    """Do the whole road in a child that kills itself before its file operation number `step`. False: it got through."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, args: tuple[Any, ...]) -> None:
            nonlocal count
            if event in ("open", "os.rename", "os.link", "os.remove", "os.chmod") and (
                isinstance(args[0], int) or str(root) in str(args[0])
            ):
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

        try:
            sys.addaudithook(hook)
            arrivals, _ = spool.scan(10)
            _publish(spool, spool.claim(arrivals[0]), "ham")
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed otherwise"
    return os.WIFSIGNALED(status)
