"""Files dropped into the folder come out scanned, marked, under their own names, and once."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from spamfilter.config import ConfigError
from spamfilter.message import Kind, Message
from spamfilter.policy import Policy
from spamfilter.verdict import Action, Disposition, Label
from tests.fakes import THRESHOLDS, FakeEngine, FakeLog, score
from tests.frontends.folder_setup import HAM, SPAM, drop, files, quick_watch, served, until

__all__ = ["quick_watch"]  # for every test in here


@pytest.mark.parametrize("before", [True, False], ids=["dropped before the start", "dropped while it runs"])
async def test_mail_is_published_by_its_label(tmp_path: Path, before: bool) -> None:
    log = FakeLog()
    unsure = HAM.replace(b"noon", b"dunno")
    engine = FakeEngine(lambda m: score(0.99 if b"VIAGRA" in m.raw else 0.6 if b"dunno" in m.raw else 0.1))
    dropped = {"ham/a.eml": HAM, "spam/b.eml": SPAM, "unsure/c.eml": unsure}

    def drop_all() -> None:
        for target, content in dropped.items():
            drop(tmp_path / "in" / Path(target).name, content)

    if before:
        drop_all()
    async with served(tmp_path, log=log, engine=engine):
        if not before:
            drop_all()
        await until(lambda: len(log.settled) == 3)
    for target, content in dropped.items():
        published = (tmp_path / target).read_bytes()
        assert published.endswith(content) and b"X-Spam-Status: " in published
        assert f"label={Path(target).parent}".encode() in published.replace(b"\n\t", b" ")
    assert (tmp_path / "spam/b.eml").read_bytes().startswith(b"X-Spam-Flag: YES\n")
    assert files(tmp_path, "in", "work", "failed") == [] and len(files(tmp_path, "ham", "unsure", "spam")) == 3
    assert {detail for _, _, detail in log.settled} == {str(tmp_path / target) for target in dropped}
    assert set(log.dispositions) == {Disposition.DELIVERED}


async def test_maildir_delivery_is_taken_from_new_without_settling(tmp_path: Path) -> None:
    engine = FakeEngine()
    name = "1723.M1P2.host,S=9:2,S"
    drop(tmp_path / "cur" / "kept", HAM)
    async with served(tmp_path, engine=engine, settle_s=3600.0):
        (tmp_path / "tmp" / name).write_bytes(b"no header in here\n")
        (tmp_path / "tmp" / name).rename(tmp_path / "new" / name)
        await until(lambda: (tmp_path / "ham" / name).exists() and not files(tmp_path, "work"))
    assert engine.seen[0].kind is Kind.MAIL and len(engine.seen) == 1
    assert (tmp_path / "cur" / "kept").read_bytes() == HAM


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("sms.txt", b"see you at 8", Kind.TEXT),
        ("mail.txt", HAM, Kind.MAIL),
        ("odd.EML", b"see you at 8", Kind.MAIL),
        ("noextension", HAM, Kind.MAIL),
        ("unknown.xyz", b"see you at 8", Kind.TEXT),
        ("empty.txt", b"", Kind.TEXT),
    ],
)
async def test_kind_by_name_then_by_content(tmp_path: Path, name: str, content: bytes, kind: Kind) -> None:
    engine = FakeEngine()
    drop(tmp_path / "in" / name, content)
    async with served(tmp_path, engine=engine):
        await until(lambda: bool(files(tmp_path, "ham")) and not files(tmp_path, "work"))
    assert (engine.seen[0].kind, engine.seen[0].channel, engine.seen[0].raw) == (kind, "folder", content)
    published = (tmp_path / "ham" / name).read_bytes()
    assert published.startswith(b"X-Spam-") and published.endswith(content)


async def test_forged_headers_are_removed_and_the_body_is_untouched(tmp_path: Path) -> None:
    body = bytes(range(256)) * 8 + b"\r\r\n\n.\nX-Spam-Flag: NO\n"
    drop(tmp_path / "in" / "a.eml", b"X-Spam-Status: No, really\n  not\nSubject: a\n\n" + body)
    async with served(tmp_path):
        await until(lambda: (tmp_path / "ham" / "a.eml").exists())
    published = (tmp_path / "ham" / "a.eml").read_bytes()
    assert published.endswith(b"\nSubject: a\n\n" + body) and b"really" not in published


async def test_taken_names_are_never_overwritten(tmp_path: Path) -> None:
    log = FakeLog()
    drop(tmp_path / "ham" / "a.eml", b"put here by a person")
    async with served(tmp_path, log=log):
        for n in (1, 2):
            drop(tmp_path / "in" / "a.eml", HAM + b"%d" % n)
            await until(lambda n=n: len(log.settled) == n)  # type: ignore[misc]
    ids = [message.id for message, _ in log.recorded]
    assert (tmp_path / "ham" / "a.eml").read_bytes() == b"put here by a person"
    assert [p.name for p in files(tmp_path, "ham")] == sorted(["a.eml", f"a-{ids[0]}.eml", f"a-{ids[1]}.eml"])
    assert (tmp_path / "ham" / f"a-{ids[1]}.eml").read_bytes().endswith(HAM + b"2")


@pytest.mark.parametrize("name", ["x" * 251 + ".eml", "ü" * 127, "\udcff\udcfe.eml", "two\nlines .eml", "-rf"])
async def test_awkward_names_are_kept(tmp_path: Path, name: str) -> None:
    log = FakeLog()
    async with served(tmp_path, log=log):
        for n in (1, 2):
            drop(tmp_path / "in" / name, HAM)
            await until(lambda n=n: len(log.settled) == n)  # type: ignore[misc]
    assert (tmp_path / "ham" / name).exists() and len(files(tmp_path, "ham")) == 2
    for _, _, detail in log.settled:
        assert detail.isprintable() and detail.encode()


async def test_what_is_not_ready_or_not_for_us_is_left_alone(tmp_path: Path) -> None:
    log = FakeLog()
    left = [".hidden", "a.tmp", "b.part", "c.PART", "d.eml~"]
    async with served(tmp_path, log=log, rescan_s=0.05):
        for name in left:
            (tmp_path / "in" / name).write_bytes(SPAM)
        drop(tmp_path / "ham" / "by-a-person.eml", SPAM)
        for n in range(1, 6):  # each one passes after at least one more look at everything
            drop(tmp_path / "in" / f"{n}.eml", HAM)
            await until(lambda n=n: len(log.settled) == n)  # type: ignore[misc]
        (tmp_path / "in" / "a.tmp").rename(tmp_path / "in" / "a.eml")
        await until(lambda: (tmp_path / "spam" / "a.eml").exists())
    left.remove("a.tmp")
    assert sorted(p.name for p in files(tmp_path, "in")) == sorted(left)
    assert (tmp_path / "ham" / "by-a-person.eml").read_bytes() == SPAM and len(log.settled) == 6


async def test_a_file_being_written_is_taken_once_and_whole(tmp_path: Path) -> None:
    engine = FakeEngine()
    (tmp_path / "in").mkdir()
    async with served(tmp_path, engine=engine, settle_s=0.5):
        with (tmp_path / "in" / "slow.eml").open("wb", buffering=0) as file:
            for n in range(12):
                file.write(HAM if n == 0 else b"line %d\n" % n)
                await asyncio.sleep(0.08)  # the slow writer: altogether longer than settle_s
                assert engine.seen == []
        await until(lambda: (tmp_path / "ham" / "slow.eml").exists())
    assert len(engine.seen) == 1 and engine.seen[0].raw.endswith(b"line 11\n")


async def test_a_file_that_changes_under_our_hands_is_read_again(tmp_path: Path) -> None:
    held_open = drop(tmp_path / "in" / "a.eml", HAM).open("ab", buffering=0)
    log = FakeLog()

    def answer(message: Message) -> object:
        if b"late" not in message.raw:
            held_open.write(b"late\n")  # the writer goes on after the file was claimed and read
        return score(0.1)

    with held_open:
        async with served(tmp_path, engine=FakeEngine(answer), log=log):  # type: ignore[arg-type]
            await until(lambda: (tmp_path / "ham" / "a.eml").exists())
    assert (tmp_path / "ham" / "a.eml").read_bytes().endswith(HAM + b"late\n")
    assert log.dispositions == [Disposition.FAILED, Disposition.DELIVERED] and len(files(tmp_path, "ham")) == 1
    assert len({message.id for message, _ in log.recorded}) == 2  # two attempts, two decisions


@pytest.mark.parametrize("action", [Action.QUARANTINE, Action.REJECT])
async def test_quarantine_and_reject_go_to_spam(tmp_path: Path, action: Action) -> None:
    policy = Policy(THRESHOLDS, actions={Label.SPAM: action, Label.UNSURE: Action.TAG, Label.HAM: Action.ACCEPT})
    drop(tmp_path / "in" / "b.eml", SPAM)
    drop(tmp_path / "in" / "a.eml", HAM)
    async with served(tmp_path, policy=policy):
        await until(lambda: (tmp_path / "spam" / "b.eml").exists() and (tmp_path / "ham" / "a.eml").exists())
    assert b"X-Spam-Flag: YES" in (tmp_path / "spam" / "b.eml").read_bytes()
    assert (tmp_path / "ham" / "a.eml").read_bytes() == HAM  # accepted: unmarked


async def test_lost_events_are_made_up_for_by_rescans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spamfilter.frontends.folder.watch.Watch.on_any_event", lambda self, event: None)
    async with served(tmp_path, rescan_s=0.05):
        drop(tmp_path / "in" / "a.eml", HAM)
        await until(lambda: (tmp_path / "ham" / "a.eml").exists())


async def test_results_keep_the_permissions_of_the_file(tmp_path: Path) -> None:
    drop(tmp_path / "in" / ".a", HAM).chmod(0o640)
    (tmp_path / "in" / ".a").rename(tmp_path / "in" / "a.eml")
    async with served(tmp_path):
        await until(lambda: (tmp_path / "ham" / "a.eml").exists())
    assert stat.S_IMODE((tmp_path / "ham" / "a.eml").stat().st_mode) == 0o640


async def test_stop_finishes_what_is_in_work_and_leaves_the_rest(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.delay_s = 0.2
    log = FakeLog()
    for n in range(10):
        drop(tmp_path / "in" / f"{n}.eml", HAM)
    async with served(tmp_path, engine=engine, log=log, concurrency=2):
        await until(lambda: len(engine.seen) == 2)
    assert len(files(tmp_path, "ham")) == 2 == len(log.settled) and len(files(tmp_path, "in")) == 8
    assert list((tmp_path / "work").iterdir()) == []


async def test_stop_does_not_wait_for_a_scan_beyond_its_grace(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.delay_s = 3600.0
    log = FakeLog()
    drop(tmp_path / "in" / "a.eml", HAM)
    async with served(tmp_path, engine=engine, log=log, grace_s=0.01):
        await until(lambda: len(engine.seen) == 1)
    assert len(files(tmp_path, "work")) == 1 and log.recorded == log.settled == []
    async with served(tmp_path):
        await until(lambda: (tmp_path / "ham" / "a.eml").exists())
    assert list((tmp_path / "work").iterdir()) == []


async def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"folder\.path: .*file.*cannot be used: .*[Nn]ot a directory"):
        async with served(tmp_path / "file"):
            pass


async def test_a_burst_is_worked_off_with_bounded_tasks(tmp_path: Path) -> None:
    """`SPAMFILTER_BURST=10000` makes it the full one."""
    count = int(os.environ.get("SPAMFILTER_BURST", "2000"))
    log = FakeLog()
    before = len(asyncio.all_tasks())
    most = 0

    def answer(_: Message) -> object:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()) - before)
        return score(0.1)

    async with served(tmp_path, engine=FakeEngine(answer), log=log, concurrency=8, settle_s=0.1):  # type: ignore[arg-type]
        for n in range(count):
            drop(tmp_path / "in" / f"{n}.eml", HAM + b"token %d\n" % n)
        await until(lambda: len(log.settled) >= count, timeout_s=150)
    assert len(log.settled) == count == len(files(tmp_path, "ham")) and files(tmp_path, "in", "work") == []
    tokens = {p.read_bytes().rpartition(b"token ")[2] for p in files(tmp_path, "ham")}
    assert tokens == {b"%d\n" % n for n in range(count)}
    assert most <= 2 * 8 + 4  # a worker and its scan each, and a few that do not depend on the number of files
