"""Message: what the bytes are, and where the body starts."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.message import Kind, Message, body_offset, kind_of, new_message_id
from tests.hostile.mails import samples


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"From: a@b.example\nTo: c\n\nbody", id="fields"),
        pytest.param(b"From a@b.example Mon Jan  1 00:00:00 2024\nSubject: x\n\n", id="mbox"),
        pytest.param(b">From a@b.example Mon Jan  1 00:00:00 2024\nSubject: x\n\n", id="quoted-mbox"),
        pytest.param(b"Subject: hi\n\nbody", id="lone-subject"),
        pytest.param(b"Subject: hi", id="subject-only"),
        pytest.param(b"SUBJECT : hi\r\n\r\nbody", id="space-before-colon"),
        pytest.param(b"X-Foo: a\r\n folded\r\n\r\nbody", id="folded"),
        pytest.param(b"\r\n\r\nSubject: hi\r\nFrom: a\r\n\r\nbody", id="blank-lines-first"),
        pytest.param(b"Received: " + b"a" * 5000 + b"\r\n\r\n", id="first-line-beyond-the-window"),
    ],
)
def test_mail(raw: bytes) -> None:
    assert kind_of(raw) is Kind.MAIL


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Call me when you are free", id="one-line"),
        pytest.param(b"Note: call me", id="word-and-colon"),
        pytest.param(b"Note: call me\n\nthen go home", id="word-colon-paragraph"),
        pytest.param(b"http://www.example.com/\ncheap", id="url"),
        pytest.param(b"\0\xff\xfe", id="binary"),
        pytest.param(" 你好: 世界\n".encode(), id="chinese"),
    ],
)
def test_text(raw: bytes) -> None:
    assert kind_of(raw) is Kind.TEXT


@pytest.mark.parametrize("name", samples())
def test_examples_are_mail(name: str) -> None:
    assert kind_of(samples()[name]) is Kind.MAIL


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (b"", 0), (b"\nbody", 1), (b"\r\nbody", 2), (b"A: b", 4), (b"A: b\n", 5), (b"A: b\n\nbody", 6),
        (b"A: b\r\n\r\nbody", 8), (b"A: b\n\r\nbody", 7), (b"A: b\r\n\nbody\n\n", 7), (b"A: b\r\r\n", 7),
        (b"A: b\n\r\nx\n\ny", 7), (b"A: b\n\nx\n\r\ny", 6),
    ],
)  # fmt: skip
def test_body_offset(raw: bytes, offset: int) -> None:
    assert body_offset(raw) == offset


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"A: b", b" "])).map(b"".join))
def test_body_offset_is_the_first_blank_line(raw: bytes) -> None:
    offset = body_offset(raw)
    assert 0 <= offset <= len(raw)
    lines, start = raw.split(b"\n"), 0
    for line in lines[:-1]:
        start += len(line) + 1
        if line in (b"", b"\r"):
            assert offset == start
            return
    assert offset == len(raw)


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_message_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(len(i) == len(ids[0]) and int(i, 16) > 0 for i in ids)
    assert ids[0][:11] <= ids[-1][:11]


def test_digest_is_of_the_bytes() -> None:
    assert Message(b"a\r\nb", "cli").sha256 == hashlib.sha256(b"a\r\nb").hexdigest()
