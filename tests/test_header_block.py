"""Fields cut out of a header block: what a plain reading by lines leaves, and soon done however many there are."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.correction import content_hash
from spamfilter.header_block import fields_named, without
from spamfilter.headers import is_forged, strip

MIB = 2**20
_PIECES = (
    *(b"\n", b"\r", b"\r\n", b" ", b"\t", b"\v", b"\f", b":", b"\0", b"x", b"-", b"\xff", b"\n ", b"\n\t", b"\r\t"),
    *(b"X-Spam", b"x-spam-flag", b"X-SPAM_", b"X-Spamd-Bar", b"X-Rspamd", b"X-Spamfilter", b"X-Spammer", b"\rX-Spam:"),
    *(b"Received", b"received:", b"Received-SPF: ", b"Status", b"ARC-", b"arc-seal:", b"X-Mozilla-Keys: ", b"Lines"),
    *(b"Subject: a", b">From ", b"From "),
)
BLOCKS = st.lists(st.sampled_from(_PIECES), max_size=25).map(b"".join)
TRACE = fields_named(rb"(?:received|received-spf|status|lines)[ \t\r\v\f]*(?::|(?=\n)|\Z)|arc-|x-mozilla-")


def _lines(head: bytes) -> list[bytes]:
    return [line for line in re.split(rb"(?<=\n)", head) if line]


def _plainly_without_trace(head: bytes) -> bytes:
    kept: list[bytes] = []
    dropping = False
    for line in _lines(head):
        if line[:1] not in (b" ", b"\t"):
            name = line.partition(b":")[0].strip().lower()
            dropping = name in (b"received", b"received-spf", b"status", b"lines")
            dropping = dropping or name.startswith((b"arc-", b"x-mozilla-"))
        if not dropping:
            kept.append(line)
    return b"".join(kept)


def _plainly_stripped(head: bytes) -> bytes:
    kept: list[bytes] = []
    dropping = False
    for line in _lines(head):
        if line[:1] not in (b" ", b"\t"):
            dropping = b":" in line and is_forged(line.partition(b":")[0])
        if not dropping:
            kept.append(_plainly_without_hidden(line))
    return b"".join(kept)


def _plainly_without_hidden(line: bytes) -> bytes:
    """A line without the forged fields behind a lone CR."""
    ending = b"\r\n" if line.endswith(b"\r\n") else line[-1:] if line.endswith((b"\n", b"\r")) else b""
    first, *others = line[: len(line) - len(ending)].split(b"\r")
    kept, dropping = [first], False
    for piece in others:
        if piece[:1] not in (b" ", b"\t"):
            dropping = b":" in piece and is_forged(piece.partition(b":")[0])
        if not dropping:
            kept.append(piece)
    return b"\r".join(kept) + ending


@given(BLOCKS)
def test_it_leaves_what_a_plain_reading_leaves(head: bytes) -> None:
    assert without(TRACE, head) == _plainly_without_trace(head)


@given(BLOCKS)
def test_verdicts_are_stripped_as_a_plain_reading_strips_them(head: bytes) -> None:
    assert strip(head) == _plainly_stripped(head)


@pytest.mark.parametrize(
    ("raw", "known_as"),
    [
        (b"", "e3b0c44298fc1c14"),
        (b"Received: x", "e3b0c44298fc1c14"),
        (b"From: a@b.example\r\nSubject: x\r\n of y\r\n\r\nbody\r\n", "0b596e9337194a2c"),
        (b"\rReceived: x\nStatus\nARC-Seal: i\n\ty\nLines :4\nA: b\n\n>>From x\n\r\n", "6d269a7e1c31e8db"),
        (
            b"A: b\n\rX-Spam: c\n\x0bX-Rspamd-A: y\n z\nB: c\rX-Spam-Flag: NO\r\ty\rC: d\r\n\n>From e",
            "43dcdda6bbdc6096",
        ),
        (b">From a\nx-spam-status: no\n y", "6427f285733942ef"),
    ],
)
def test_a_content_keeps_its_name(raw: bytes, known_as: str) -> None:
    assert content_hash(raw)[:16] == known_as, "labels in the store find their messages by it"


@pytest.mark.parametrize("line", [b"A: b\n", b"Received: x\n", b"X-Spam: x\n", b" b\n", b"\rX-Spam: b\n", b"\v \n"])
def test_a_long_block_takes_a_moment(line: bytes) -> None:
    raw = b"X-Spam-Flag: YES\nReceived: x\n" + line * (8 * MIB // len(line)) + b"\nbody"
    started = time.process_time()
    content_hash(raw)
    assert time.process_time() - started < 5.0
