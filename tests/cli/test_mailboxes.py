"""From paths to messages: mbox files, Maildirs, folders, and what is neither."""

from __future__ import annotations

import io
import mailbox
from pathlib import Path

import pytest

from spamfilter.cli.mailboxes import Found, mailbox_files, messages, total_bytes
from spamfilter.correction import content_hash
from spamfilter.message import Kind, Message

LIMIT = 10_000
ONE = b"Subject: one\nFrom: a@example.com\n\nDear Bob,\n\nFrom here on it is new.\n"
TWO = b"Subject: two\n\nbody\n>From a quoted line\n"


def read(*paths: str | Path, limit: int = LIMIT) -> list[Found]:
    return list(messages([str(path) for path in paths], limit))


def raws(found: list[Found]) -> list[bytes | str]:
    return [one.message.raw if isinstance(one.message, Message) else one.message for one in found]


def make_mbox(path: Path, *mails: bytes) -> Path:
    box = mailbox.mbox(str(path))
    for mail in mails:
        box.add(mailbox.mboxMessage(mail))
    box.close()
    return path


def test_an_mbox_of_the_standard_library(tmp_path: Path) -> None:
    found = read(make_mbox(tmp_path / "box", ONE, TWO, ONE))
    assert [one.place for one in found] == [f"{tmp_path}/box:{number}" for number in (1, 2, 3)]
    kinds = {one.message.kind for one in found if isinstance(one.message, Message)}
    assert kinds == {Kind.MAIL}
    hashes = [content_hash(raw) for raw in raws(found) if isinstance(raw, bytes)]
    assert hashes == [content_hash(ONE), content_hash(TWO), content_hash(ONE)]
    assert sum(one.size for one in found) == (tmp_path / "box").stat().st_size == total_bytes([str(tmp_path / "box")])


def test_a_from_line_in_a_body_parts_nothing(tmp_path: Path) -> None:
    body = b"x\n\nFrom me to you, at 10:30 of all times\n\nFrom Mon to Sun\n"
    (tmp_path / "box").write_bytes(b"From a@b Mon Jan  5 10:00:00 2026\nSubject: x\n\n" + body)
    assert raws(read(tmp_path / "box")) == [b"Subject: x\n\n" + body]


def test_an_mbox_with_crlf(tmp_path: Path) -> None:
    one = b"From a@b Mon Jan  5 10:00:00 2026\r\nSubject: x\r\n\r\n>From y\r\n\r\n"
    (tmp_path / "box").write_bytes(one * 2)
    assert raws(read(tmp_path / "box")) == [b"Subject: x\r\n\r\nFrom y\r\n"] * 2


def test_a_large_message_costs_only_itself(tmp_path: Path) -> None:
    path = make_mbox(tmp_path / "box", ONE, b"Subject: large\n\n" + b"x" * 3_000_000 + b"\n" + b"y\n" * 9000, TWO)
    found = read(path)
    assert found[1].message == "too_large: more than 10000 bytes (engine.max_message_mib)"
    assert [isinstance(one.message, Message) for one in found] == [True, False, True]
    path.write_bytes(b"Subject: large\n\n" + b"x" * LIMIT)
    assert raws(read(path)) == ["too_large: more than 10000 bytes (engine.max_message_mib)"]
    assert isinstance(read(path, limit=LIMIT + 16)[0].message, Message)


def test_a_maildir(tmp_path: Path) -> None:
    for folder, name in (
        ("new", "1.a"),
        ("cur", "2.a:2,S"),
        ("tmp", "3.a"),
        (".Junk/cur", "4.a"),
        (".", "dovecot-uid"),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_bytes(ONE)
    for box in ("new", "tmp"):
        (tmp_path / ".Junk" / box).mkdir()
    assert list(mailbox_files([str(tmp_path)])) == [f"{tmp_path}/cur/2.a:2,S", f"{tmp_path}/new/1.a"]
    assert list(mailbox_files([f"{tmp_path}/.Junk", f"{tmp_path}/new"])) == [
        f"{tmp_path}/.Junk/cur/4.a",
        f"{tmp_path}/new/1.a",
    ]


def test_a_plain_folder_in_order(tmp_path: Path) -> None:
    for name in ("b.eml", "a.txt", "sub/c.eml", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(ONE)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    assert [one.place for one in read(tmp_path)] == [f"{tmp_path}/{name}" for name in ("a.txt", "b.eml", "sub/c.eml")]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", b""),
        (b"only words", b"only words"),
        (b"Subject: a\n\n\0\0", b"Subject: a\n\n\0\0"),
        (b"\x89PNG\r\n\0\0", "neither mail nor text: no header block, and NUL bytes"),
        (b"x" * 3_000_000, "too_large: more than 10000 bytes (engine.max_message_mib)"),
        (b"From here we go", b"From here we go"),
    ],
)
def test_hostile_files(tmp_path: Path, raw: bytes, message: bytes | str) -> None:
    (tmp_path / "file").write_bytes(raw)
    assert raws(read(tmp_path / "file")) == [message]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    found = read(tmp_path / "none", "nul\0byte")
    assert [one.message for one in found] == ["No such file or directory", "embedded null byte"]
    assert total_bytes([str(tmp_path / "none")]) == 0


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    box = make_mbox(tmp_path / "box", ONE, TWO).read_bytes()
    for raw, count in ((ONE, 1), (box, 2), (b"", 1)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
        assert len(read("-")) == count
    assert total_bytes(["-"]) is None
