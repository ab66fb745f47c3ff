"""Folders of a Maildir: both layouts, names in every language, and roles that go by them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from spamfilter.frontends.learn.maildir_folders import Role, Roles, decoded, folders, listing
from spamfilter.frontends.learn.settings import IGNORED, JUNK
from tests.frontends.learn.setup import TestMaildir

ROLES = Roles(JUNK, IGNORED)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("INBOX", Role.ORDINARY),
        ("Archive/2024", Role.ORDINARY),
        ("Junk", Role.JUNK),
        ("SPAM", Role.JUNK),
        ("junk e-mail", Role.JUNK),
        ("Junk/old", Role.JUNK),
        ("Courrier indésirable", Role.JUNK),
        ("Trash", Role.IGNORED),
        ("Trash/Junk", Role.IGNORED),
        ("Papierkorb", Role.IGNORED),
        ("E\u0301le\u0301ments envoye\u0301s", Role.IGNORED),
        ("Gesendete Elemente", Role.IGNORED),
        ("Not junk", Role.ORDINARY),
    ],
)
def test_the_name_tells_the_role(name: str, role: Role) -> None:
    assert ROLES.of(name) is role


def test_no_name_has_two_roles() -> None:
    assert {name.casefold() for name in JUNK} & {name.casefold() for name in IGNORED} == set()


@pytest.mark.parametrize(
    ("encoded", "name"),
    [
        ("Junk", "Junk"),
        ("&AMk-l&AOk-ments envoy&AOk-s", "Éléments envoyés"),
        ("Tom &- Ann", "Tom & Ann"),
        ("&U,BTFw-", "台北"),
        ("Q&A", "Q&A"),
        ("&2D0-", "&2D0-"),
        ("Entwürfe", "Entwürfe"),
    ],
)
def test_modified_utf7(encoded: str, name: str) -> None:
    assert decoded(encoded) == name


def test_both_layouts_are_found_and_nothing_else(tmp_path: Path) -> None:
    maildir = TestMaildir(
        tmp_path / "M", ".Junk", ".Archive.2024", ".INBOX.Sent", "Spam", "Lists/dev", ".Entw&APw-rfe"
    ).path
    (maildir / "envelopes").mkdir()
    (maildir / "sieve" / "tmp").mkdir(parents=True)
    (maildir / ".link").symlink_to(maildir / ".Junk")
    (maildir / ".file").write_bytes(b"")
    (maildir / ".half" / "cur").mkdir(parents=True)
    found = folders(maildir, time.time_ns())
    assert {folder.path: folder.name for folder in found} == {
        "": "INBOX",
        ".Junk": "Junk",
        ".Archive.2024": "Archive/2024",
        ".INBOX.Sent": "Sent",
        "Spam": "Spam",
        "Lists/dev": "Lists/dev",
        ".Entw&APw-rfe": "Entwürfe",
    }


def test_a_stamp_changes_with_the_folder_and_is_not_trusted_at_once(tmp_path: Path) -> None:
    maildir = TestMaildir(tmp_path / "M")
    (first,) = folders(maildir.path, time.time_ns())
    assert first.racy
    (later,) = folders(maildir.path, time.time_ns() + 10**10)
    assert not later.racy and later.stamp == first.stamp
    os.utime(maildir.path / "cur", ns=(1, 1))
    (changed,) = folders(maildir.path, time.time_ns())
    assert changed.stamp != first.stamp


def test_what_is_listed(tmp_path: Path) -> None:
    maildir = TestMaildir(tmp_path / "M")
    new = maildir.deliver(b"a")
    seen = maildir.flag(maildir.deliver(b"b"), "FS")
    maildir.flag(maildir.deliver(b"c"), "ST")  # deleted, not yet expunged
    (maildir.path / "cur" / ".hidden").write_bytes(b"")
    (maildir.path / "cur" / "link").symlink_to("/etc/passwd")
    (maildir.path / "cur" / "folder").mkdir()
    os.mkfifo(maildir.path / "new" / "pipe")
    odd = maildir.path / "new" / os.fsdecode(b"\xff\n")
    odd.write_bytes(b"d")
    listed = listing(maildir.path)
    assert {base: one.place for base, one in listed.items()} == {
        new.name.encode(): b"new/" + new.name.encode(),
        seen.name.partition(":")[0].encode(): b"cur/" + seen.name.encode(),
        b"\xff\n": b"new/\xff\n",
    }
