"""A dropped file's messages: one mail, one text, or an mbox, with what is too large left out and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.folder.spool import StillWrittenError
from spamfilter.frontends.learn.mailbox_file import Found, messages
from spamfilter.message import Kind, Message

LINE = b"From ann@example.org Mon Jan  6 10:00:00 2025\n"
A = b"From: ann@example.org\nSubject: a\n\nfirst\n"
B = b"From: bob@example.org\nSubject: b\n\nsecond\n"


def found(path: Path, content: bytes, limit: int = 10_000) -> list[Found]:
    path.write_bytes(content)
    return list(messages(path, path.name, "test", limit))


def raws(everything: list[Found]) -> list[bytes | str]:
    return [one.message.raw if isinstance(one.message, Message) else one.message for one in everything]


def test_a_file_is_one_message_and_its_bytes_are_untouched(tmp_path: Path) -> None:
    (one,) = found(tmp_path / "a.eml", A.replace(b"\n", b"\r\n"))
    assert one.number == 0 and isinstance(one.message, Message)
    assert (one.message.raw, one.message.kind) == (A.replace(b"\n", b"\r\n"), Kind.MAIL)
    (text,) = found(tmp_path / "sms.txt", b"call me\n")
    assert isinstance(text.message, Message) and text.message.kind is Kind.TEXT


def test_an_mbox_is_taken_apart(tmp_path: Path) -> None:
    quoted = B + b">From here on\n>>From there\n"
    parts = found(tmp_path / "mbox", LINE + A + b"\n" + LINE + quoted + b"\n")
    assert [one.number for one in parts] == [1, 2]
    assert raws(parts) == [A, B + b"From here on\n>From there\n"]


def test_a_line_that_only_looks_like_a_separator_parts_nothing(tmp_path: Path) -> None:
    body = A + b"\nFrom a friend, with love\n" + LINE.replace(b"From", b"from") + b"\n"
    assert raws(found(tmp_path / "mbox", LINE + body)) == [body[:-1]]


def test_one_message_that_is_too_large_costs_only_itself(tmp_path: Path) -> None:
    large = A + b"x" * 100 + b"\n"
    parts = raws(found(tmp_path / "mbox", LINE + A + b"\n" + LINE + large + b"\n" + LINE + B, limit=len(B)))
    assert parts[0] == A and parts[2] == B
    assert "too large: more than 41 bytes" in str(parts[1])


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.eml"
    with path.open("wb") as file:
        file.write(A)
        file.truncate(60 * 2**20)
    (one,) = messages(path, path.name, "test", 48 * 2**20)
    assert one.message == f"too large: more than {48 * 2**20} bytes (engine.max_message_mib)"


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (one,) = found(tmp_path / "a.png", b"\x89PNG\r\n\x1a\n\0\0\0")
    assert "neither mail nor text" in str(one.message)


def test_a_file_that_grows_is_not_learned_half(tmp_path: Path) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(LINE + A + b"\n" + LINE + B)
    going = messages(path, path.name, "test", 10_000)
    assert next(going).number == 1
    with path.open("ab") as file:
        file.write(b"more\n")
    with pytest.raises(StillWrittenError):
        next(going)


@pytest.mark.parametrize("what", ["link", "folder", "pipe"])
def test_nothing_but_a_regular_file_is_opened(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.eml"
    {"link": lambda: path.symlink_to("/etc/passwd"), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[what]()
    with pytest.raises(UnreadableError, match="not a regular file"):
        list(messages(path, path.name, "test", 10_000))
