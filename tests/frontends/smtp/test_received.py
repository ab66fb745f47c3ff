"""Trace fields: ours is well formed whatever the client calls itself; those that are there are counted."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from spamfilter.frontends.smtp import received
from spamfilter.message import Envelope, Message, Peer

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def unfolded(peer: Peer, *rcpts: str) -> str:
    message = Message(b"", "smtp", Envelope("a@b.c", rcpts, peer), id="id7")
    raw = received.field(message, peer, "ESMTP", "mx.test", now=NOW)
    assert raw.endswith(b"\r\n")
    assert all(len(line) < 998 for line in raw.split(b"\r\n"))
    return raw.decode("ascii").replace("\r\n\t", " ").removesuffix("\r\n")


def test_all_clauses() -> None:
    text = unfolded(Peer("192.0.2.1", 5, "client.test"), "b@c.d")
    head, _, rest = text.partition(" by mx.test (spamfilter ")
    assert head == "Received: from client.test ([192.0.2.1])"
    assert rest.endswith(") with ESMTP id id7 for <b@c.d>; Tue, 03 Feb 2026 04:05:06 +0000")


@pytest.mark.parametrize(
    ("peer", "head"),
    [
        (Peer("::1", 5, "[IPv6:::1]"), "from [IPv6:::1] ([IPv6:::1])"),
        (Peer("", 0, "x"), "from x (local socket)"),
        (Peer("192.0.2.1", 5, "a)\r\nX-Evil: (b"), "from a???X-Evil:??b ([192.0.2.1])"),
        (Peer("192.0.2.1", 5, ""), "from unknown ([192.0.2.1])"),
    ],
)
def test_peers(peer: Peer, head: str) -> None:
    assert unfolded(peer).startswith(f"Received: {head} by ")


def test_several_recipients_are_not_told_of_each_other() -> None:
    assert " for " not in unfolded(Peer("192.0.2.1"), "b@c.d", "e@f.g")
    assert " for " not in unfolded(Peer("192.0.2.1"), "jörg@c.d")


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"", 0),
        (b"Subject: x\r\n\r\nReceived: in the body\r\n", 0),
        (b"Received: a\r\n b\r\nRECEIVED : c\r\nX-Received: no\r\n Received: folded\r\n\r\n", 2),
        (b"Received: a\r\n" * 60 + b"\r\n", 60),
    ],
)
def test_count(raw: bytes, number: int) -> None:
    assert received.count(raw) == number
    assert not received.circles(raw, number)
    assert number == 0 or received.circles(raw, number - 1)


def test_the_date_is_now_in_local_time() -> None:
    message = Message(b"", "smtp", Envelope("a@b.c", ("b@c.d",)))
    before = datetime.now(UTC).replace(microsecond=0)
    raw = received.field(message, Peer("192.0.2.1"), "ESMTP", "mx.test").decode("ascii")
    stamp = parsedate_to_datetime(raw.replace("\r\n\t", " ").rpartition("; ")[2].strip())
    assert before <= stamp <= datetime.now(UTC)
    assert stamp.utcoffset() == datetime.now().astimezone().utcoffset()
