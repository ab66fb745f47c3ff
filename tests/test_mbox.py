"""An mbox comes apart into its messages, whatever its size, its line ends, and what stands in their bodies."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.mbox import pieces

LINE = b"From alice@example.org Tue Feb  3 10:00:00 2026"


def _raws(data: bytes, limit: int = 10_000) -> list[bytes | None]:
    return [piece.raw for piece in pieces(io.BytesIO(data), limit)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_messages_are_parted_and_unquoted(end: bytes) -> None:
    first = end.join([b"Subject: a", b"", b">From here on", b">>From there", b""])
    second = end.join([b"Subject: b", b"", b"hi", b""])
    data = LINE + end + first + end + LINE + end + second
    assert _raws(data) == [first.replace(b">From", b"From").replace(b">>", b">"), second]


@pytest.mark.parametrize(
    "body", [b"From me at 10:30 on\n", b"text\n" + LINE + b" without a blank line before\n", b"From\n"]
)
def test_a_body_is_no_separator(body: bytes) -> None:
    assert len(_raws(LINE + b"\nSubject: a\n\nx " + body)) == 1


def test_what_is_no_mbox_is_one_message() -> None:
    [piece] = pieces(io.BytesIO(b"Subject: a\n\nhi\n"), 100)
    assert piece == (0, b"Subject: a\n\nhi\n", 15)
    assert _raws(b"x" * 101, 100) == [None]


def test_one_that_is_too_large_costs_only_itself() -> None:
    data = LINE + b"\n" + b"y" * 300 + b"\n\n" + LINE + b"\nSubject: b\n\nhi\n"
    assert _raws(data, 100) == [None, b"Subject: b\n\nhi\n"]


@given(st.binary(max_size=300), st.integers(1, 200))
def test_any_bytes_come_apart_and_every_byte_is_read_once(data: bytes, limit: int) -> None:
    found = [*pieces(io.BytesIO(LINE + b"\n" + data), limit)]
    assert all(piece.raw is None or len(piece.raw) <= limit for piece in found)
    assert sum(piece.read for piece in found) == len(LINE) + 1 + len(data)
