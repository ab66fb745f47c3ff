"""Odd files, huge files, a full disk, an engine that is down: nothing is lost, and the log says what is wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from spamfilter.frontends.folder import disk
from spamfilter.message import Message
from spamfilter.policy import Policy
from spamfilter.verdict import Action, Disposition, Failure, FailureKind, Label
from tests.fakes import THRESHOLDS, FakeEngine, FakeLog, score
from tests.frontends.folder_setup import HAM, SPAM, drop, files, quick_watch, served, until

__all__ = ["quick_watch"]  # for every test in here

FAILURES = list(FailureKind)


def events(logs: list[Any], name: str) -> list[Any]:
    """The captured log lines of one event."""
    return [line for line in logs if line["event"] == name]


async def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    outside = tmp_path / "outside.eml"
    outside.write_bytes(SPAM)
    root = tmp_path / "folder"
    arrivals = root / "in"
    arrivals.mkdir(parents=True)
    (arrivals / "link.eml").symlink_to(outside)
    os.mkfifo(arrivals / "pipe.eml")
    (arrivals / "sub").mkdir()
    (arrivals / "sub" / "inner.eml").write_bytes(HAM)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(arrivals / "socket.eml"))
    engine = FakeEngine()
    reasons = {"link.eml": "symbolic link", "pipe.eml": "named pipe", "sub": "directory", "socket.eml": "socket"}
    async with served(root, engine=engine, concurrency=1):
        await until(
            lambda: all((root / "failed" / name).is_symlink() or (root / "failed" / name).exists() for name in reasons)
        )
        drop(arrivals / "a.eml", HAM)
        await until(lambda: (root / "ham" / "a.eml").exists())
    for name, reason in reasons.items():
        assert reason in (root / "failed" / f"{name}.reason.txt").read_text()
    assert outside.read_bytes() == SPAM and (root / "failed" / "sub" / "inner.eml").read_bytes() == HAM
    assert len(engine.seen) == 1 and files(root, "in", "work") == []


async def test_an_unreadable_file_is_failed_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:  # root may read everything, so permissions do not do
        if str(path).endswith("secret.eml"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    drop(tmp_path / "failed" / "secret.eml", b"an earlier one")
    drop(tmp_path / "in" / "secret.eml", HAM)
    with capture_logs() as logs:
        async with served(tmp_path):
            await until(lambda: len(files(tmp_path, "failed")) == 3)
    failed = next(p for p in files(tmp_path, "failed") if p.name.startswith("secret-") and p.suffix == ".eml")
    assert failed.read_bytes() == HAM and (tmp_path / "failed" / "secret.eml").read_bytes() == b"an earlier one"
    assert failed.with_name(f"{failed.name}.reason.txt").read_text() == "cannot be read: Permission denied\n"
    assert events(logs, "folder.failed")[0]["reason"] == "cannot be read: Permission denied"


async def test_what_cannot_be_claimed_stays_and_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def refuse(path: Path, target: Any) -> Path:
        if path.name == "stuck.eml" and path.parent.name == "in":
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        return rename(path, target)

    log = FakeLog()
    drop(tmp_path / "in" / "stuck.eml", HAM)
    monkeypatch.setattr(Path, "rename", refuse)
    with capture_logs() as logs:
        async with served(tmp_path, rescan_s=0.02, log=log):
            for n in range(1, 5):
                drop(tmp_path / "in" / f"{n}.eml", HAM)
                await until(lambda n=n: len(log.settled) == n)  # type: ignore[misc]
    assert len(events(logs, "folder.not_claimed")) == 1 and (tmp_path / "in" / "stuck.eml").read_bytes() == HAM


@pytest.mark.parametrize("name", ["big.eml", "big.txt"])
async def test_a_huge_file_is_marked_unscanned_without_being_held(tmp_path: Path, name: str) -> None:
    head = b"X-Spam-Status: No\nSubject: big\n\n" if name.endswith("eml") else b""
    body = b"".join(b"line %d X-Spam-Status: kept\n" % n for n in range(60_000))
    drop(tmp_path / "in" / name, head + body)
    log, engine = FakeLog(), FakeEngine()
    async with served(tmp_path, engine=engine, log=log, limit=4096):
        await until(lambda: (tmp_path / "unsure" / name).exists() and bool(log.settled))
    published = (tmp_path / "unsure" / name).read_bytes()
    ours, _, rest = published.partition(b"\n\n")
    assert rest == body and b"unscanned, reason=too_large" in ours.replace(b"\n\t", b" ")
    assert b"X-Spam-Status: No\n" not in ours and (b"Subject: big" in ours) == name.endswith("eml")
    ((message, decision),) = log.recorded
    assert len(message.raw) <= 4096 and isinstance(decision.outcome, Failure) and engine.seen == []
    assert decision.outcome.detail == f"{len(head + body)} bytes, limit 4096"
    assert log.settled == [(decision, Disposition.DELIVERED, str(tmp_path / "unsure" / name))]


@pytest.mark.parametrize("kind", FAILURES)
async def test_failures_that_are_accepted_go_to_unsure_with_the_reason(tmp_path: Path, kind: FailureKind) -> None:
    policy = Policy(THRESHOLDS, failures={kind: Action.ACCEPT for kind in FailureKind})
    drop(tmp_path / "in" / "a.eml", HAM)
    async with served(tmp_path, engine=FakeEngine(Failure(kind, "why")), policy=policy):
        await until(lambda: (tmp_path / "unsure" / "a.eml").exists())
    assert f"unscanned, reason={kind} (why)".encode() in (tmp_path / "unsure" / "a.eml").read_bytes()


@pytest.mark.parametrize("kind", FAILURES)
async def test_tempfailed_files_wait_in_work_until_they_are_scanned(tmp_path: Path, kind: FailureKind) -> None:
    policy = Policy(THRESHOLDS, failures={kind: Action.TEMPFAIL for kind in FailureKind})
    log = FakeLog()
    engine = FakeEngine(Failure(kind))
    drop(tmp_path / "in" / "a.eml", HAM)
    with capture_logs() as logs:
        async with served(tmp_path, engine=engine, log=log, policy=policy):
            await until(lambda: len(log.settled) >= 4)
            assert len(files(tmp_path, "work")) == 1 and files(tmp_path, "ham", "unsure", "spam") == []
            drop(tmp_path / "in" / "b.eml", HAM)
            engine.answer = score(0.1)
            await until(lambda: len(files(tmp_path, "ham")) == 2)
    assert set(log.dispositions[:4]) == {Disposition.TEMPFAILED} and log.dispositions[-1] is Disposition.DELIVERED
    assert len({decision.message_id for decision, _, _ in log.settled}) == len(log.settled) == len(log.recorded)
    systemic = kind in (FailureKind.ENGINE_DOWN, FailureKind.OVERLOAD)
    assert len(events(logs, "folder.paused")) == len(events(logs, "folder.resumed")) == systemic


async def test_nothing_is_claimed_while_the_engine_is_down(tmp_path: Path) -> None:
    engine, log = FakeEngine(Failure(FailureKind.ENGINE_DOWN)), FakeLog()
    for n in range(50):
        drop(tmp_path / "in" / f"{n}.eml", HAM)
    async with served(tmp_path, engine=engine, log=log, concurrency=2):
        await until(lambda: len(log.settled) >= 8)
        assert len(files(tmp_path, "in")) >= 50 - 10
        engine.answer = score(0.1)
        await until(lambda: len(files(tmp_path, "ham")) == 50)


async def test_one_file_that_always_fails_does_not_hold_up_the_others(tmp_path: Path) -> None:
    policy = Policy(THRESHOLDS, actions={Label.HAM: Action.TAG, Label.UNSURE: Action.TAG, Label.SPAM: Action.TEMPFAIL})
    for n in range(6):
        drop(tmp_path / "in" / f"bad{n}.eml", SPAM)
        drop(tmp_path / "in" / f"good{n}.eml", HAM)
    async with served(tmp_path, policy=policy, concurrency=2):
        await until(lambda: len(files(tmp_path, "ham")) == 6)
    assert len(files(tmp_path, "work", "in")) == 6 and files(tmp_path, "spam") == []


async def test_a_nearly_full_disk_stops_claims_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    full = True
    statvfs = os.statvfs

    def nearly_full(path: Any) -> Any:
        nonlocal asked
        asked += 1
        return SimpleNamespace(f_bavail=1, f_frsize=4096) if full else statvfs(path)

    monkeypatch.setattr(os, "statvfs", nearly_full)
    for n in range(5):
        drop(tmp_path / "in" / f"{n}.eml", HAM)
    with capture_logs() as logs:
        async with served(tmp_path, min_free_mib=1):
            await until(lambda: asked >= 8)
            assert len(files(tmp_path, "in")) == 5 and files(tmp_path, "work") == []
            full = False
            await until(lambda: len(files(tmp_path, "ham")) == 5)
    (paused,) = events(logs, "folder.paused")
    assert (paused["reason"], paused["free_mib"], paused["min_free_mib"]) == ("disk full", 0, 1)
    assert len(events(logs, "folder.resumed")) == 1


async def test_no_space_during_publication_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    full = True

    def refuse(fd: int, data: Any) -> int:
        if full and bytes(data).startswith(b"X-Spam-"):
            return write(fd, data[:10])  # a part fits, as on a real disk
        if full and bytes(data).endswith(HAM[-10:]):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(disk.os, "write", refuse)
    log = FakeLog()
    for n in range(20):
        drop(tmp_path / "in" / f"{n}.eml", HAM)
    with capture_logs() as logs:
        async with served(tmp_path, log=log, concurrency=2):
            await until(lambda: len(log.settled) >= 6)
            full = False
            await until(lambda: len(files(tmp_path, "ham")) == 20 and not files(tmp_path, "work"))
    assert all(p.read_bytes().endswith(HAM) for p in files(tmp_path, "ham"))
    assert len(events(logs, "folder.paused")) == len(events(logs, "folder.resumed")) == 1
    assert len(log.settled) == len(log.recorded) and Disposition.FAILED in log.dispositions


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where the tests may mount one."""
    mount = shutil.which("mount")
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small tmpfs needs root")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_really_full_disk(small_disk: Path) -> None:
    filler = small_disk / "filler"
    for n in range(4):
        drop(small_disk / "in" / f"{n}.eml", HAM + b"x" * 200_000)
    log = FakeLog()
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while file.write(b"x" * 4096) == 4096:  # the last piece is written in part
            pass
        file.write(b"x")
    filler.chmod(0o600)
    with capture_logs() as logs:
        front = served(small_disk, log=log)
        os.truncate(filler, filler.stat().st_size - 64 * 1024)  # room for folders and locks, not for a copy
        async with front:
            await until(lambda: len(log.settled) >= 4)
            assert files(small_disk, "ham", "unsure", "spam") == []
            filler.unlink()
            await until(lambda: len(files(small_disk, "ham")) == 4 and not files(small_disk, "work"))
    assert len(events(logs, "folder.paused")) == 1 and files(small_disk, "in") == []


@pytest.mark.parametrize(
    ("number", "sysctl"),
    [(errno.ENOSPC, "fs.inotify.max_user_watches"), (errno.EMFILE, "fs.inotify.max_user_instances")],
)
async def test_without_inotify_rescans_do_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sysctl: str
) -> None:
    def refuse(_: object) -> None:
        raise OSError(number, "inotify limit reached")

    monkeypatch.setattr("watchdog.observers.api.BaseObserver.start", refuse)
    with capture_logs() as logs:
        async with served(tmp_path, rescan_s=0.05):
            drop(tmp_path / "in" / "a.eml", HAM)
            await until(lambda: (tmp_path / "ham" / "a.eml").exists())
    (line,) = events(logs, "folder.watch_unavailable")
    assert sysctl in line["remedy"]


async def test_a_bug_ends_neither_the_worker_nor_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FakeLog()
    calls = 0

    def broken(*_: Any) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a bug")
        return "ham"

    monkeypatch.setattr("spamfilter.frontends.folder.frontend.folder_for", broken)
    drop(tmp_path / "in" / "a.eml", HAM)
    with capture_logs() as logs:
        async with served(tmp_path, log=log, concurrency=1):
            await until(lambda: (tmp_path / "ham" / "a.eml").exists())
    assert log.dispositions == [Disposition.FAILED, Disposition.DELIVERED] and events(logs, "folder.unexpected")


async def test_folders_that_vanish_come_back(tmp_path: Path) -> None:
    log = FakeLog()
    async with served(tmp_path, rescan_s=0.05, log=log):
        for name in ("in", "ham", "work"):
            shutil.rmtree(tmp_path / name)
        await until(lambda: all((tmp_path / name).is_dir() for name in ("in", "ham", "work")))
        await asyncio.to_thread(drop, tmp_path / "in" / "a.eml", HAM)
        await until(lambda: (tmp_path / "ham" / "a.eml").exists())


async def test_large_files_share_a_bounded_memory(tmp_path: Path) -> None:
    held = most = 0

    class Counting(FakeEngine):
        async def score(self, message: Message) -> Any:
            nonlocal held, most
            held += len(message.raw)
            most = max(most, held)
            await asyncio.sleep(0)
            held -= len(message.raw)
            return score(0.1)

    for n in range(8):
        drop(tmp_path / "in" / f"{n}.eml", HAM + b"x" * 60_000)
    async with served(tmp_path, engine=Counting(), concurrency=8, limit=150_000):
        await until(lambda: len(files(tmp_path, "ham")) == 8)
    assert 60_000 < most <= 150_000
