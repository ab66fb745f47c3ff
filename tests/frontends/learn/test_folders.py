"""Mail dropped into spam/ or ham/ is learned once it is whole, and put away; nothing is lost on the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from spamfilter.config import ConfigError
from spamfilter.frontends.folder import names
from spamfilter.frontends.folder.names import Source
from spamfilter.message import new_message_id
from spamfilter.store.database import StoreError
from spamfilter.verdict import Failure, FailureKind
from tests.__main__ import ROOT
from tests.frontends.folder_setup import drop, files, quick_watch, until
from tests.frontends.learn.setup import Recorder, folders, mail, nothing_left

__all__ = ["quick_watch"]

LINE = b"From ann@example.org Mon Jan  6 10:00:00 2025\n"


def done(root: Path, *parts: str) -> Path:
    return root.joinpath("done", date.today().isoformat(), *parts)


def reason(root: Path, name: str) -> str:
    return (root / "failed" / names.reason_name(name)).read_text("utf-8")


async def test_what_is_dropped_is_learned_and_put_away(tmp_path: Path) -> None:
    learn = Recorder()
    with nothing_left():
        async with folders(tmp_path, learn):
            drop(tmp_path / "spam" / "a.eml", mail("offer"))
            drop(tmp_path / "ham" / "b.txt", b"see you at noon\n")
            await until(lambda: done(tmp_path, "ham", "b.txt").exists() and done(tmp_path, "spam", "a.eml").exists())
    assert sorted(learn.said) == [(b"offer", "spam"), (b"see you at noon", "ham")]
    assert {(p.how, p.channel) for _, _, p in learn.calls} == {
        ("dropped into spam/", "learn-folder"),
        ("dropped into ham/", "learn-folder"),
    }
    assert all(provenance.who for _, _, provenance in learn.calls)
    assert files(tmp_path, "spam", "ham", "work", "failed") == []


async def test_what_was_there_before_the_start_is_learned(tmp_path: Path) -> None:
    learn = Recorder()
    drop(tmp_path / "spam" / "a.eml", mail("offer"))
    async with folders(tmp_path, learn):
        await until(lambda: done(tmp_path, "spam", "a.eml").exists())
    assert learn.said == [(b"offer", "spam")]


async def test_nothing_is_kept_where_so_configured(tmp_path: Path) -> None:
    learn = Recorder()
    async with folders(tmp_path, learn, keep_done=False):
        drop(tmp_path / "spam" / "a.eml", mail("offer"))
        await until(lambda: len(learn.calls) == 1 and not files(tmp_path, "spam", "work"))
    assert files(tmp_path, "done") == []


async def test_the_same_name_twice_keeps_both(tmp_path: Path) -> None:
    learn = Recorder()
    async with folders(tmp_path, learn):
        for text in ("one", "two"):
            drop(tmp_path / "spam" / "a.eml", mail(text))
            await until(lambda: not files(tmp_path, "spam", "work"))
    assert len(files(tmp_path, "done")) == 2
    assert learn.said == [(b"one", "spam"), (b"two", "spam")]


async def test_a_file_that_is_still_written_is_left_until_it_settles(tmp_path: Path) -> None:
    learn = Recorder()
    async with folders(tmp_path, learn, settle_s=0.3):
        with (tmp_path / "spam" / "a.eml").open("wb", buffering=0) as file:
            raw = mail("x" * 200)
            for start in range(0, len(raw), 40):
                file.write(raw[start : start + 40])
                await asyncio.sleep(0.1)
                assert learn.calls == []
        await until(lambda: len(learn.calls) == 1)
    assert learn.calls[0][0].raw == raw


async def test_an_mbox_is_learned_whole(tmp_path: Path) -> None:
    learn = Recorder()
    async with folders(tmp_path, learn):
        drop(tmp_path / "ham" / "saved", b"".join(LINE + mail(f"number {n}") + b"\n" for n in range(30)))
        await until(lambda: done(tmp_path, "ham", "saved").exists())
    assert [text for text, _ in learn.said] == [b"number %d" % n for n in range(30)]


async def test_of_an_mbox_that_is_partly_bad_the_rest_is_learned_and_said(tmp_path: Path) -> None:
    learn = Recorder()
    large = mail("x" * 3000)
    async with folders(tmp_path, learn, limit=2000):
        drop(tmp_path / "ham" / "saved", LINE + mail("one") + b"\n" + LINE + large + b"\n" + LINE + mail("two"))
        await until(lambda: (tmp_path / "failed" / "saved").exists())
    assert [text for text, _ in learn.said] == [b"one", b"two"]
    assert reason(tmp_path, "saved").startswith("2 messages of this file are learned, 1 are not\nmessage 2: too large")


async def test_what_cannot_be_learned_goes_to_failed_with_the_reason(tmp_path: Path) -> None:
    learn = Recorder(trouble=[Failure(FailureKind.UNPARSABLE, "empty: there is nothing to learn from")])
    async with folders(tmp_path, learn):
        drop(tmp_path / "spam" / "empty.eml", b"")
        await until(lambda: (tmp_path / "failed" / "empty.eml").exists())
    assert reason(tmp_path, "empty.eml") == "empty: there is nothing to learn from\n"


async def test_hostile_drops_do_no_harm(tmp_path: Path) -> None:
    learn = Recorder()
    async with folders(tmp_path, learn, limit=48 * 2**20):
        spam = tmp_path / "spam"
        (spam / "link.eml").symlink_to(tmp_path / "nowhere")
        (spam / "passwords.eml").symlink_to("/etc/passwd")
        os.mkfifo(spam / "pipe.eml")
        (spam / "folder.eml").mkdir()
        with (tmp_path / "large").open("wb") as file:
            file.truncate(60 * 2**20)
        (tmp_path / "large").rename(spam / "large.eml")
        (spam / "gone.eml").write_bytes(b"")
        (spam / "gone.eml").unlink()
        drop(spam / "b\udcff\x1b.eml", mail("odd name"))
        drop(spam / "good.eml", mail("good"))
        bad = ("link", "passwords", "pipe", "folder", "large")
        await until(lambda: all((tmp_path / "failed" / f"{name}.eml").is_symlink() for name in bad[:2]))
        await until(lambda: all(os.path.lexists(tmp_path / "failed" / f"{name}.eml") for name in bad))
        await until(lambda: len(learn.calls) == 2)
    assert {text for text, _ in learn.said} == {b"odd name", b"good"}
    assert reason(tmp_path, "passwords.eml") == "not a regular file but a symbolic link\n"
    assert "too large: more than 50331648 bytes" in reason(tmp_path, "large.eml")


async def test_unreadable_permissions_are_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refused(path: str, *args: int, **kwargs: int) -> int:
        if str(path).endswith("closed.eml"):  # root may read everything
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    learn = Recorder()
    async with folders(tmp_path, learn):
        monkeypatch.setattr(os, "open", refused)
        drop(tmp_path / "spam" / "closed.eml", mail("closed"))
        await until(lambda: (tmp_path / "failed" / "closed.eml").exists())
        monkeypatch.undo()
    assert reason(tmp_path, "closed.eml") == "cannot be read: Permission denied\n"


async def test_a_folder_replaced_by_a_file_is_survived(tmp_path: Path) -> None:
    learn = Recorder()
    async with folders(tmp_path, learn, rescan_s=0.05):
        shutil.rmtree(tmp_path / "spam")
        (tmp_path / "spam").write_bytes(b"a file")
        drop(tmp_path / "ham" / "a.eml", mail("meanwhile"))
        await asyncio.sleep(0.3)
        (tmp_path / "spam").unlink()
        (tmp_path / "spam").mkdir()
        drop(tmp_path / "spam" / "b.eml", mail("after"))
        await until(lambda: len(learn.calls) == 2)


@pytest.mark.parametrize(
    "trouble",
    [StoreError("database is locked"), OSError(28, "No space left"), Failure(FailureKind.ENGINE_DOWN, "restarts")],
)
async def test_trouble_that_passes_costs_only_time(tmp_path: Path, trouble: Exception | Failure) -> None:
    learn = Recorder(trouble=[trouble] * 4)
    async with folders(tmp_path, learn):
        for n in range(3):
            drop(tmp_path / "spam" / f"{n}.eml", mail(f"number {n}"))
        await until(lambda: len(learn.calls) == 3)
        await until(lambda: not files(tmp_path, "work"))
    assert files(tmp_path, "failed") == []


async def test_what_always_raises_is_given_up_with_the_reason(tmp_path: Path) -> None:
    learn = Recorder(trouble=[RuntimeError("a bug")] * 5)
    async with folders(tmp_path, learn):
        drop(tmp_path / "spam" / "bad.eml", mail("bad"))
        await until(lambda: (tmp_path / "failed" / "bad.eml").exists())
        drop(tmp_path / "spam" / "good.eml", mail("good"))
        await until(lambda: len(learn.calls) == 1)
    assert reason(tmp_path, "bad.eml") == "given up after 5 attempts: RuntimeError: a bug\n"


async def test_what_a_crash_left_in_work_is_learned_by_the_next_start(tmp_path: Path) -> None:
    dead = tmp_path / "work" / new_message_id()
    drop(dead / names.claim_name(new_message_id(), Source.HAM, "a.eml"), mail("left behind"))
    drop(tmp_path / "work" / "by hand.eml", mail("spam or ham?"))
    learn = Recorder()
    async with folders(tmp_path, learn):
        await until(lambda: done(tmp_path, "ham", "a.eml").exists())
        await until(lambda: (tmp_path / "failed" / "by hand.eml").exists())
    assert learn.said == [(b"left behind", "ham")]
    assert "without a sign" in reason(tmp_path, "by hand.eml")


async def test_two_daemons_learn_each_file_once(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    for n in range(100):
        drop(tmp_path / "spam" / f"{n}.eml", mail(f"number {n}"))
    async with folders(tmp_path, first, rescan_s=0.05), folders(tmp_path, second, rescan_s=0.05):
        await until(lambda: len(first.calls) + len(second.calls) >= 100 and not files(tmp_path, "spam", "work"))
    assert sorted(first.said + second.said) == sorted((b"number %d" % n, "spam") for n in range(100))


async def test_stopping_leaves_the_file_at_hand_for_the_next_start(tmp_path: Path) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    class Slow(Recorder):
        async def __call__(self, message, label, provenance):  # type: ignore[no-untyped-def]
            begun.set()
            await never.wait()

    async with folders(tmp_path, Slow()) as part:
        drop(tmp_path / "spam" / "a.eml", mail("slow"))
        await begun.wait()
        await part.stop(0.05)
        await part.stop(0.0)
    assert len(files(tmp_path, "work")) == 1
    learn = Recorder()
    async with folders(tmp_path, learn):
        await until(lambda: done(tmp_path, "spam", "a.eml").exists())
    assert learn.said == [(b"slow", "spam")]


async def test_a_root_that_cannot_be_used_is_said_with_its_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with nothing_left(), pytest.raises(ConfigError, match=r"learn\.folders\.path"):
        async with folders(tmp_path / "file", Recorder()):
            pass


def test_killed_at_random_instants_everything_is_learned_and_put_away(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    dropped = 0
    for last in (False, False, False, True):
        for _ in range(40):
            content = b"".join(LINE + mail(f"number {dropped} {part}") + b"\n" for part in range(3))
            drop(tmp_path / ("spam", "ham")[dropped % 2] / f"{dropped}.mbox", content)
            dropped += 1
        command = [sys.executable, "-m", "tests.frontends.learn.folders_process", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            while process.stdout.readline() not in (b"ready\n", b""):
                pass
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.0, 0.15))
            for _ in range(2000 if last else 0):
                if not files(tmp_path, "spam", "ham", "work"):
                    break
                try:
                    process.wait(0.01)
                except subprocess.TimeoutExpired:
                    continue
            process.kill()
    expected = {b"%s number %d %d" % ((b"spam", b"ham")[n % 2], n, part) for n in range(dropped) for part in range(3)}
    assert set((tmp_path / "diary").read_bytes().splitlines()) == expected
    assert files(tmp_path, "spam", "ham", "work", "failed") == []
    put_away = [path for path in files(tmp_path, "done")]
    assert {path.name.partition(".")[0].partition("-")[0] for path in put_away} == {str(n) for n in range(dropped)}
    assert len(put_away) <= dropped + 3  # at worst twice: killed between the new name and the old one
