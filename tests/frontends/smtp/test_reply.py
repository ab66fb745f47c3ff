"""Replies are kept byte for byte."""

from __future__ import annotations

import pytest

from spamfilter.frontends.smtp.reply import BadReplyError, Reply, cut


@pytest.mark.parametrize(
    "lines",
    [
        [b"250 2.0.0 Ok"],
        [b"250"],
        [b"550-5.7.1  two blanks", b"550-", b"550 \xe9\xff 8-bit"],
        [b"421 4.3.2 Bye"],
    ],
)
def test_a_reply_goes_out_as_it_came_in(lines: list[bytes]) -> None:
    assert Reply.parse(lines).wire == b"".join(line + b"\r\n" for line in lines)


@pytest.mark.parametrize(
    "lines",
    [[b"25 x"], [b"hello"], [b""], [b"250-a", b"251 b"], [b"250+a"], [b"999 x"], [b"100 x"], [b"2500"]],
)
def test_what_is_no_reply_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(BadReplyError):
        Reply.parse(lines)


def test_our_own_replies_have_a_code_on_every_line_and_no_line_breaks_from_elsewhere() -> None:
    assert Reply.of(250, "mx.test", "SIZE 1", "DSN").wire == b"250-mx.test\r\n250-SIZE 1\r\n250 DSN\r\n"
    assert Reply.of(451, "4.3.0 evil\r\n250 Ok").wire == b"451 4.3.0 evil  250 Ok\r\n"


def test_kinds() -> None:
    assert Reply.of(250, "x").positive
    assert not Reply.of(354, "x").positive
    assert not Reply.of(354, "x").negative
    assert Reply.of(451, "x").negative
    assert Reply.of(550, "x").negative
    assert Reply.of(421, "x").closing


def test_replies_are_cut_out_one_by_one_when_they_are_whole() -> None:
    held = bytearray()
    for piece in (b"250-a\r", b"\n250 ", b"b-c\r"):
        held += piece
        assert cut(held) is None
    held += b"\n354 go\n550"
    assert cut(held) == Reply(250, (b"250-a", b"250 b-c"))
    assert cut(held) == Reply(354, (b"354 go",))
    assert cut(held) is None
    assert held == b"550"


@pytest.mark.parametrize("held", [b"hello\r\n", b"250-a\r\n" * 200, b"250 " + b"x" * 65536])
def test_what_never_becomes_a_reply_is_given_up(held: bytes) -> None:
    with pytest.raises(BadReplyError):
        cut(bytearray(held))
