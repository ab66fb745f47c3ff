"""The one end of data, found whatever way the bytes arrive."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.frontends.smtp.data import Budget, ClientGoneError, DataParser, Fault, Inbox, LineTooLongError
from spamfilter.frontends.smtp.wire import Wire

MIB = 2**20


def parse(wire: bytes, cuts: list[int] | None = None, limit: int = MIB) -> tuple[bytes, Fault | None, bytes] | None:
    """Content, fault and what follows; None when the end was not found. The budget must be even afterwards."""
    budget = Budget(64 * MIB)
    parser = DataParser(limit, budget)
    edges = sorted({0, len(wire), *(c % (len(wire) + 1) for c in cuts or [])})
    rest = None
    for start, end in pairwise(edges):
        if rest is not None:
            rest += wire[start:end]
        else:
            rest = parser.feed(wire[start:end])
    if rest is None:
        return None
    content = parser.content()
    assert budget.held == len(content)
    parser.release()
    parser.release()
    assert budget.held == 0
    return content, parser.fault, rest


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"a\r\n..b\r\n..\r\n.\r\n", b"a\r\n.b\r\n.\r\n"),
        (b"x" * 65536 + b"\r\n.\r\n", b"x" * 65536 + b"\r\n"),
        (b"\xff\0\x1a\r\n.\r\n", b"\xff\0\x1a\r\n"),
    ],
)
def test_unstuffing(wire: bytes, content: bytes) -> None:
    assert parse(wire) == (content, None, b"")
    assert parse(wire + b"QUIT\r\n") == (content, None, b"QUIT\r\n")


SMUGGLED = b"MAIL FROM:<evil@example.org>\r\n"


@pytest.mark.parametrize(
    "fake_end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\r\n.\rx\n",
        b"\n.\r",
        b"\r.\n",
        b"\n\n.\r\n",
        b"\r\n\0.\r\n\n",
        b"\r\r\n.\r\r\n",
    ],
    ids=repr,
)
def test_what_only_looks_like_an_end_neither_ends_data_nor_passes(fake_end: bytes) -> None:
    wire = b"Subject: x\r\n\r\nbody" + fake_end + SMUGGLED
    assert parse(wire) is None
    assert parse(wire + b"\r\n.\r\nQUIT\r\n") == (b"", Fault.BARE_NEWLINE, b"QUIT\r\n")


@given(
    pieces=st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b"\r\n.", b".\r\n"]), max_size=30),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_the_way_the_bytes_are_cut_changes_nothing(pieces: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(pieces) + b"\r\n.\r\nNOOP\r\n"
    whole = parse(wire)
    assert whole is not None
    assert parse(wire, cuts) == whole
    assert parse(wire, list(range(len(wire)))) == whole


@given(lines=st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"")), max_size=12))
def test_stuffing_and_unstuffing_are_inverse(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    assert parse(stuffed + b".\r\n") == (content, None, b"")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"x" * 998 + b"\r\n", None),
        (b"x" * 999 + b"\r\n", Fault.TOO_LARGE),
        (b"..\r\n" * 333, None),  # 999 bytes, unstuffed
        (b"..\r\n" * 334, Fault.TOO_LARGE),
        (b"x" * MIB + b"\r\n", Fault.TOO_LARGE),
    ],
    ids=["at", "above", "dots at", "dots above", "far above"],
)
def test_the_limit_counts_the_message_not_its_stuffing(content: bytes, fault: Fault | None) -> None:
    parsed = parse(content + b".\r\nQUIT\r\n", limit=1000)
    assert parsed is not None
    assert parsed[1:] == (fault, b"QUIT\r\n")


def test_nothing_is_held_above_the_limit() -> None:
    budget = Budget(64 * MIB)
    parser = DataParser(1000, budget)
    most = 0
    for _ in range(64):
        assert parser.feed(b"x" * 65536) is None
        most = max(most, budget.held)
    assert parser.fault is Fault.TOO_LARGE
    assert most < 400_000
    assert budget.held == 0
    assert parser.feed(b"\r\n.\r\n") == b""


def test_the_budget_is_shared() -> None:
    budget = Budget(1000)
    one, other = DataParser(10_000, budget), DataParser(10_000, budget)
    assert one.feed(b"x" * 700) is None
    assert other.feed(b"x" * 700) is None
    assert (one.fault, other.fault) == (None, Fault.OVERLOAD)
    assert one.feed(b"\r\n.\r\n") == b""
    assert other.feed(b"\r\n.\r\nNOOP\r\n") == b"NOOP\r\n"
    assert one.content() == b"x" * 700 + b"\r\n"
    assert budget.held == 702
    one.release()
    other.release()
    assert budget.held == 0


async def test_the_inbox_reads_lines_then_data_then_lines() -> None:
    wire = Wire(asyncio.get_running_loop())
    inbox = Inbox(wire, 10.0)
    wire.data_received(b"DATA\r\nhello\r\n.\r\nNOOP\nQUIT\r\n")
    wire.eof_received()
    assert await inbox.line(100) == b"DATA"
    parser = DataParser(1000, Budget(1000))
    await inbox.data(parser)
    assert parser.content() == b"hello\r\n"
    assert not inbox.at_end
    assert await inbox.line(100) == b"NOOP"
    assert await inbox.line(100) == b"QUIT"
    assert inbox.at_end
    with pytest.raises(ClientGoneError):
        await inbox.line(100)


@pytest.mark.parametrize("length", [101, 100_000])
async def test_a_line_too_long_is_thrown_away_whole(length: int) -> None:
    wire = Wire(asyncio.get_running_loop())
    inbox = Inbox(wire, 10.0)
    feeding = asyncio.create_task(_feed(wire, b"x" * length + b"\r\nNOOP\r\n"))
    with pytest.raises(LineTooLongError):
        await inbox.line(100)
    assert await inbox.line(100) == b"NOOP"
    await feeding


async def _feed(wire: Wire, data: bytes) -> None:
    for start in range(0, len(data), 1000):
        wire.data_received(data[start : start + 1000])
        await asyncio.sleep(0)


async def test_an_unfinished_line_is_not_a_command() -> None:
    wire = Wire(asyncio.get_running_loop())
    wire.data_received(b"QUIT")
    wire.eof_received()
    with pytest.raises(ClientGoneError):
        await Inbox(wire, 10.0).line(100)
