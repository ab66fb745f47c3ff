"""The watch at work: events, rescans, restarts, trouble; and everything closed afterwards."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from spamfilter.config import ConfigError
from spamfilter.frontends.learn import MaildirWatch, maildir_watch
from spamfilter.frontends.learn.maildir_message import identity
from spamfilter.store.database import StoreError
from spamfilter.verdict import Failure, FailureKind
from tests.frontends.folder_setup import quick_watch, until
from tests.frontends.learn.setup import LIMIT, Recorder, TestMaildir, mail, nothing_left, watch

__all__ = ["quick_watch"]

pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")  # watchdog's, see maildir_watch


@pytest.fixture
def maildir(tmp_path: Path) -> TestMaildir:
    return TestMaildir(tmp_path / "M", ".Junk", ".Trash", ".Archive")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildir_watch, "_GATHER_S", 0.02)


async def seen(part: MaildirWatch, count: int) -> None:
    """Returns when the index knows so many messages."""
    await until(lambda: _known(part) == count)


def _known(part: MaildirWatch) -> int:
    import sqlite3

    with sqlite3.connect(part._index._path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM messages WHERE gone IS NULL").fetchone()
    connection.close()
    return int(count)


async def test_moves_are_learned_as_they_happen(tmp_path: Path, maildir: TestMaildir) -> None:
    learn = Recorder()
    with nothing_left():
        async with watch(tmp_path / "state", learn, maildir.path) as part:
            await seen(part, 0)
            offer, wanted = maildir.deliver(mail("offer")), maildir.deliver(mail("wanted"), ".Junk")
            await seen(part, 2)
            offer = maildir.move(offer, ".Junk")
            await until(lambda: len(learn.calls) == 1)
            maildir.move(wanted, "")
            await until(lambda: len(learn.calls) == 2)
            maildir.flag(offer, "FS")
            maildir.deliver(mail("delivered into Junk"), ".Junk")
            await seen(part, 3)
    assert learn.said == [(b"offer", "spam"), (b"wanted", "ham")]
    message, _, provenance = learn.calls[0]
    assert (message.kind, message.channel) == ("mail", "maildir")
    assert (provenance.who, provenance.how, provenance.channel) == (
        str(maildir.path),
        "moved from INBOX to Junk",
        "maildir",
    )


async def test_rescans_find_what_events_do_not(
    tmp_path: Path, maildir: TestMaildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maildir_watch, "_MOST_WATCHED", 0)
    learn = Recorder()
    with capture_logs() as logs:
        async with watch(tmp_path / "state", learn, maildir.path, rescan_s=0.05) as part:
            path = maildir.deliver(mail("offer"))
            await seen(part, 1)
            maildir.move(path, ".Junk")
            await until(lambda: len(learn.calls) == 1)
    (line,) = [line for line in logs if line["event"] == "learn.maildirs.watch_unavailable"]
    assert line["reason"] == "more than 0 Maildirs" and "every 0.05 s" in line["effect"]


async def test_a_restart_knows_what_was_where(tmp_path: Path, maildir: TestMaildir) -> None:
    learn = Recorder()
    path = maildir.deliver(mail("offer"))
    maildir.deliver(mail("old junk"), ".Junk")
    async with watch(tmp_path / "state", learn, maildir.path) as part:
        await seen(part, 2)
    maildir.move(path, ".Junk")
    async with watch(tmp_path / "state", learn, maildir.path):
        await until(lambda: len(learn.calls) == 1)
    async with watch(tmp_path / "state", learn, maildir.path):
        await asyncio.sleep(0.2)
    assert learn.said == [(b"offer", "spam")]


async def test_patterns_and_maildirs_that_come_later(tmp_path: Path) -> None:
    learn = Recorder()
    late = TestMaildir(tmp_path / "vmail" / "ann" / "Maildir", ".Junk")
    async with watch(
        tmp_path / "state", learn, tmp_path / "vmail" / "*" / "Maildir", tmp_path / "later", rescan_s=0.05
    ) as part:
        ann = late.deliver(mail("to ann"))
        await seen(part, 1)
        bob = TestMaildir(tmp_path / "vmail" / "bob" / "Maildir", ".Junk")
        old = TestMaildir(tmp_path / "later", ".Junk")
        old.copy(old.deliver(mail("was there before")), ".Junk")
        await seen(part, 3)
        to_bob = bob.deliver(mail("to bob"))
        await seen(part, 4)
        late.move(ann, ".Junk")
        bob.move(to_bob, ".Junk")
        await until(lambda: len(learn.calls) == 2)
        assert set(part._maildirs) == {late.path, bob.path, old.path}
    assert sorted(learn.said) == [(b"to ann", "spam"), (b"to bob", "spam")]


async def test_a_maildir_that_is_exchanged_is_watched_anew(tmp_path: Path, maildir: TestMaildir) -> None:
    learn = Recorder()
    async with watch(tmp_path / "state", learn, maildir.path, rescan_s=0.1) as part:
        maildir.deliver(mail("a"))
        await seen(part, 1)
        maildir.path.rename(tmp_path / "old")
        again = TestMaildir(maildir.path, ".Junk")
        await seen(part, 0)
        path = again.deliver(mail("offer"))
        await seen(part, 1)
        again.move(path, ".Junk")
        await until(lambda: len(learn.calls) == 1)


async def test_folders_go_by_the_names_that_are_set(tmp_path: Path) -> None:
    maildir = TestMaildir(tmp_path / "M", ".Reklame", ".Einkauf")
    learn = Recorder()
    async with watch(tmp_path / "state", learn, maildir.path, junk=("reklame",), ignored=("Einkauf",)) as part:
        bought, offer = maildir.deliver(mail("bought"), ".Einkauf"), maildir.deliver(mail("offer"))
        await seen(part, 2)
        maildir.move(bought, ".Reklame")
        maildir.move(offer, ".Reklame")
        await until(lambda: len(learn.calls) == 1)
    assert learn.said == [(b"offer", "spam")]


@pytest.mark.parametrize(
    "trouble",
    [StoreError("database is locked"), RuntimeError("a bug"), Failure(FailureKind.OVERLOAD, "too much")],
)
async def test_trouble_that_passes_costs_only_time(
    tmp_path: Path, maildir: TestMaildir, trouble: Exception | Failure
) -> None:
    learn = Recorder(trouble=[trouble] * 3)
    async with watch(tmp_path / "state", learn, maildir.path) as part:
        paths = [maildir.deliver(mail(text)) for text in ("a", "b")]
        await seen(part, 2)
        for path in paths:
            maildir.move(path, ".Junk")
        await until(lambda: len(learn.calls) == 2)
    assert sorted(learn.said) == [(b"a", "spam"), (b"b", "spam")]


async def test_what_was_not_learned_before_the_stop_is_learned_after_the_start(
    tmp_path: Path, maildir: TestMaildir
) -> None:
    down = Recorder(trouble=[StoreError("down")] * 10_000)
    async with watch(tmp_path / "state", down, maildir.path) as part:
        path = maildir.deliver(mail("a"))
        await seen(part, 1)
        path = maildir.move(path, ".Junk")
        await until(lambda: len(down.trouble) < 10_000)
    maildir.flag(path, "FS")
    learn = Recorder()
    async with watch(tmp_path / "state", learn, maildir.path):
        await until(lambda: len(learn.calls) == 1)
    assert learn.said == [(b"a", "spam")]


async def test_what_can_never_be_learned_is_said_and_holds_up_nobody(tmp_path: Path, maildir: TestMaildir) -> None:
    learn = Recorder(trouble=[Failure(FailureKind.UNPARSABLE, "empty"), *[RuntimeError("a bug")] * 6])
    with capture_logs() as logs:
        async with watch(tmp_path / "state", learn, maildir.path) as part:
            large = maildir.deliver(b"")
            os.truncate(large, 60 * 2**20)
            await seen(part, 1)
            maildir.move(large, ".Junk")
            await until(lambda: _reasons(logs) == ["too large: more than 1048576 bytes (engine.max_message_mib)"])
            for n, text in enumerate(("unparsable", "raises", "packed", "good")):
                raw = b"\x1f\x8bpacked" if text == "packed" else mail(text)
                path = maildir.deliver(raw)
                await seen(part, n + 2)
                maildir.move(path, ".Junk")
                await until(lambda n=n: len(_reasons(logs)) + len(learn.calls) == n + 2)  # type: ignore[misc]
    assert learn.said == [(b"good", "spam")]
    assert _reasons(logs)[1:] == ["empty", "RuntimeError('a bug')", "stored compressed (Dovecot's zlib plugin)"]


def _reasons(logs: list[dict]) -> list[str]:  # type: ignore[type-arg]
    return [line["reason"] for line in logs if line["event"] == "learn.maildirs.not_learned"]


async def test_hostile_maildirs_do_no_harm(tmp_path: Path, maildir: TestMaildir) -> None:
    learn = Recorder()
    (tmp_path / "file").write_bytes(b"no Maildir")
    junk = maildir.path / ".Junk"
    async with watch(tmp_path / "state", learn, tmp_path / "file", tmp_path / "nowhere", maildir.path) as part:
        (junk / "cur" / "dangling:2,S").symlink_to(tmp_path / "nowhere")
        (junk / "cur" / "passwd:2,S").symlink_to("/etc/passwd")
        (junk / "cur" / "folder:2,S").mkdir()
        os.mkfifo(junk / "new" / "pipe")
        for _ in range(50):
            maildir.deliver(mail("gone before anybody looks"), ".Junk").unlink()
        path = maildir.deliver(mail("offer"))
        await seen(part, 1)
        shutil.rmtree(maildir.path / ".Archive")
        (maildir.path / ".Archive").write_bytes(b"a file in its place")
        maildir.move(path, ".Junk")
        await until(lambda: len(learn.calls) == 1)
    assert learn.said == [(b"offer", "spam")]


async def test_a_folder_that_may_not_be_read_labels_nothing(
    tmp_path: Path, maildir: TestMaildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Recorder()
    real = os.scandir

    def refused(path):  # type: ignore[no-untyped-def]
        if os.fsdecode(path).endswith(".Junk/cur"):  # root may read everything
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    with capture_logs() as logs:
        async with watch(tmp_path / "state", learn, maildir.path, rescan_s=0.05) as part:
            path = maildir.move(maildir.deliver(mail("a")), ".Junk")
            await seen(part, 1)
            monkeypatch.setattr(os, "scandir", refused)
            maildir.move(path, "")
            await until(lambda: any(line["event"] == "learn.maildirs.not_read" for line in logs))
            await asyncio.sleep(0.3)
            assert learn.calls == []
            monkeypatch.undo()
            await until(lambda: len(learn.calls) == 1)
    assert learn.said == [(b"a", "ham")]
    assert [line["event"] for line in logs].count("learn.maildirs.not_read") == 1


async def test_stopping_does_not_wait_for_a_slow_learner(tmp_path: Path, maildir: TestMaildir) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    class Slow(Recorder):
        async def __call__(self, message, label, provenance):  # type: ignore[no-untyped-def]
            begun.set()
            await never.wait()

    with nothing_left():
        async with watch(tmp_path / "state", Slow(), maildir.path) as part:
            path = maildir.deliver(mail("a"))
            await seen(part, 1)
            maildir.move(path, ".Junk")
            await begun.wait()
            await part.stop(0.05)
            await part.stop(0.0)
    learn = Recorder()
    async with watch(tmp_path / "state", learn, maildir.path):
        await until(lambda: len(learn.calls) == 1)


async def test_an_index_that_cannot_be_made_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file")
    with nothing_left(), pytest.raises(ConfigError, match=r"learn\.maildir:"):
        async with watch(tmp_path / "state", Recorder(), tmp_path / "M"):
            pass


def test_whose_word_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.getpwuid(os.getuid())
    at_home = pwd.struct_passwd((*user[:5], str(tmp_path), user[6]))
    assert maildir_watch._owner(tmp_path) == str(tmp_path)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: at_home)
    assert maildir_watch._owner(tmp_path / "Maildir") == str(tmp_path / "Maildir")  # not there: nobody owns it
    assert maildir_watch._owner(tmp_path) == user.pw_name


def test_copies_have_one_identity_and_deliveries_do_not() -> None:
    raw = mail("a")
    assert identity(raw) == identity(raw.replace(b"\n", b"\r\n")) == identity(b"X-Spam-Flag: YES\nStatus: RO\n" + raw)
    assert identity(raw) != identity(raw.replace(b"id ", b"id 1")) and identity(raw) != identity(mail("b"))
    assert len(raw) < LIMIT
