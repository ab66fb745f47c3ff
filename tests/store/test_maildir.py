"""What is said to be delivered is on the disk: file first, then its name."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from spamfilter.store.maildir import Maildir, make_folder


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    maildir = Maildir(tmp_path / "deep" / "Mail", "mx.test")
    maildir.prepare()
    return maildir


class Tape:
    """Records the system calls that matter, in order, by what they were done to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        fsync, rename = os.fsync, Path.rename

        def taped_fsync(descriptor: int) -> None:
            self.calls.append(("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
            fsync(descriptor)

        def taped_rename(path: Path, target: Any) -> Path:
            self.calls.append(("rename", str(target)))
            return rename(path, target)

        monkeypatch.setattr(os, "fsync", taped_fsync)
        monkeypatch.setattr(Path, "rename", taped_rename)


def test_the_file_is_synced_then_named_then_its_folder_is_synced(
    maildir: Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape(monkeypatch)
    path = maildir.deliver("id1", (b"head\r\n", b"\r\n", b"body"))
    new = maildir.path / "new"
    assert tape.calls == [
        ("fsync", str(maildir.path / "tmp" / path.name)),
        ("rename", str(new / path.name)),
        ("fsync", str(new)),
    ]
    assert path.read_bytes() == b"head\r\n\r\nbody"
    assert list((maildir.path / "tmp").iterdir()) == []


def test_the_envelope_is_durable_before_the_message_is_there(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    maildir.deliver("id0", (b"x",), envelope={})
    tape = Tape(monkeypatch)
    path = maildir.deliver("id1", (b"x",), envelope={"mail_from": "jörg@example.org", "rcpt_tos": ["b"]})
    envelopes = maildir.path / "envelopes"
    assert [call for call in tape.calls if call[0] == "rename" or call[1] == str(envelopes)] == [
        ("rename", str(envelopes / "id1.json")),
        ("fsync", str(envelopes)),
        ("rename", str(path)),
    ]
    assert json.loads(maildir.envelope_path("id1").read_bytes()) == {"mail_from": "jörg@example.org", "rcpt_tos": ["b"]}


def test_names_are_unique_carry_the_id_and_are_fit_for_a_maildir(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path, "odd:host/name")
    maildir.prepare()
    names = [maildir.deliver("id1", (b"x",)).name for _ in range(20)]
    assert len(set(names)) == 20
    assert all("id1" in name and ":" not in name and "/" not in name for name in names)
    assert len(list((tmp_path / "new").iterdir())) == 20


@pytest.mark.parametrize("failing", ["fsync", "write", "rename"])
def test_a_failure_leaves_nothing(maildir: Maildir, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        """Stands in for a part whose write fails."""

    with monkeypatch.context() as patch:
        if failing == "rename":
            patch.setattr(Path, "rename", fail)
        elif failing == "fsync":
            patch.setattr(os, "fsync", fail)
        parts: Any = (b"x", Full()) if failing == "write" else (b"x",)
        with pytest.raises(TypeError if failing == "write" else OSError):
            maildir.deliver("id1", parts)
    assert [p for p in maildir.path.rglob("*") if p.is_file()] == []


def test_a_maildir_that_vanished_is_made_again(maildir: Maildir) -> None:
    for name in ("tmp", "new", "cur"):
        (maildir.path / name).rmdir()
    assert maildir.deliver("id1", (b"x",)).read_bytes() == b"x"


def test_folders_are_private_and_their_names_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape(monkeypatch)
    make_folder(tmp_path / "a" / "b")
    assert tape.calls == [("fsync", str(tmp_path)), ("fsync", str(tmp_path / "a"))]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    make_folder(tmp_path / "a" / "b")
    assert len(tape.calls) == 2


def test_what_a_crash_left_in_tmp_is_swept_when_it_is_old(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path / "box", "host")
    maildir.prepare()
    old, fresh = tmp_path / "box/tmp/old", tmp_path / "box/tmp/fresh"
    for path in (old, fresh):
        path.write_bytes(b"half a message")
    os.utime(old, (0, 0))
    maildir.prepare()
    assert not old.exists() and fresh.exists()
