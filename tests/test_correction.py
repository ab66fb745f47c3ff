"""By which content a message is known: every copy of it is one, and no other message is it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.correction import content_hash, unmarked
from spamfilter.headers import Dialect, Markup, mark
from spamfilter.message import Kind, Message, kind_of
from spamfilter.policy import Policy, decide
from spamfilter.verdict import Action, Failure, FailureKind, Label, Score, Thresholds

MAIL = (
    b"From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: minutes\r\n of the meeting\r\n"
    b"Message-ID: <1@example.org>\r\n\r\nDear Bob,\r\n\r\nFrom here on all is new.\r\n"
)
SAME = content_hash(MAIL)


def _marked(raw: bytes, *, kind: Kind = Kind.MAIL, channel: str = "smtp", failed: bool = False) -> bytes:
    outcome = Failure(FailureKind.TIMEOUT, "30 s") if failed else Score(0.99, {"ngram": 0.9, "gpt": 0.99}, "m-1")
    policy = Policy(Thresholds(0.5, 0.9), dict.fromkeys(Label, Action.TAG))
    message = Message(raw, channel, kind=kind)
    return mark(message, decide("id", outcome, policy), Markup("mx.example.org", tuple(Dialect)))


def _lf(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(_lf(MAIL), id="lf"),
        pytest.param(MAIL.replace(b"\r\n", b"\n", 3), id="mixed line ends"),
        pytest.param(b"From alice@example.org Thu Jan  1 00:00:00 2026\n" + _lf(MAIL), id="mbox line"),
        pytest.param(b">From alice@example.org Thu Jan  1 00:00:00 2026\n" + _lf(MAIL), id="quoted mbox line"),
        pytest.param(_lf(MAIL).replace(b"\nFrom here", b"\n>From here") + b"\n", id="as it stands in an mbox"),
        pytest.param(_marked(MAIL), id="our headers on top"),
        pytest.param(_marked(_lf(MAIL)), id="our headers on top, lf"),
        pytest.param(_marked(_marked(MAIL)), id="our headers twice"),
        pytest.param(_marked(MAIL, failed=True), id="marked as unscanned"),
        pytest.param(b"X-Spam-Flag: NO\r\n" + MAIL, id="a forged one"),
        pytest.param(b"X-SPAM-Status : No,\r\n\tscore=-5\r\n tests=NONE\r\n" + MAIL, id="a forged one, folded"),
        pytest.param(MAIL.replace(b"To: bob", b"X-Rspamd-Score: 1\r\nTo: bob"), id="a forged one in between"),
        pytest.param(
            MAIL.replace(b"\r\n\r\nDear", b"\r\nX-Spam: Yes\r\n\tx\r\n\r\nDear"), id="a forged one at the end"
        ),
        pytest.param(
            b"Return-Path: <alice@example.org>\nDelivered-To: bob@example.net\nReceived: from a (b [192.0.2.1])\n"
            b"\tby c with ESMTP id 1; Thu, 1 Jan 2026 00:00:00 +0000\nAuthentication-Results: c; dkim=pass\n"
            b"ARC-Seal: i=1\n" + _lf(MAIL),
            id="delivered",
        ),
        pytest.param(b"Status: RO\nX-Status: A\nX-Mozilla-Keys: a b\nX-UID: 7\n" + _lf(MAIL), id="kept by a client"),
        pytest.param(MAIL[:-2], id="no line end at the end"),
        pytest.param(MAIL + b"\r\n\r\n", id="blank lines at the end"),
    ],
)
def test_every_copy_is_the_same_content(copy: bytes) -> None:
    assert content_hash(copy) == SAME


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(MAIL.replace(b"minutes", b"Minutes"), id="subject"),
        pytest.param(MAIL.replace(b"all is new", b"all is old"), id="body"),
        pytest.param(MAIL.replace(b"alice@", b"mallory@"), id="sender"),
        pytest.param(MAIL.replace(b"<1@", b"<2@"), id="message-id"),
        pytest.param(MAIL.replace(b"\r\n of the meeting", b" of the meeting"), id="folding"),
        pytest.param(MAIL.replace(b"Dear Bob,", b"X-Spam-Flag: YES"), id="what looks like a verdict, in the body"),
        pytest.param(MAIL.replace(b"Dear Bob,", b"Received: from a"), id="what looks like a trace, in the body"),
        pytest.param(MAIL.replace(b"Subject: ", b"X-Spammer: "), id="a name that only begins like a verdict's"),
        pytest.param(MAIL.replace(b"\r\n\r\nDear", b"\r\n\r\n\r\nDear"), id="a blank line more in the body"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_another_content_is_another(other: bytes) -> None:
    assert content_hash(other) != SAME


def test_a_text_and_its_marked_copy_are_one() -> None:
    text = b"WIN a prize\ncall 0900 now\n"
    marked = _marked(text, kind=Kind.TEXT, channel="folder")
    assert kind_of(marked) is Kind.MAIL
    assert (
        content_hash(marked) == content_hash(text, Kind.TEXT) == content_hash(text.replace(b"\n", b"\r\n"), Kind.TEXT)
    )
    assert unmarked(marked) == (text, Kind.TEXT)


def test_unmarked_leaves_what_others_wrote() -> None:
    assert unmarked(MAIL) == (MAIL, Kind.MAIL)
    assert unmarked(_marked(MAIL)) == (MAIL, Kind.MAIL)
    assert unmarked(b"From a Thu Jan  1 00:00:00 2026\r\n" + MAIL) == (MAIL, Kind.MAIL)
    assert unmarked(b"\nonly a body") == (b"\nonly a body", Kind.MAIL)


@pytest.mark.parametrize("raw", [b"From here we go", b"From here we go\n", b"Subject: x", b"\0\0\0", b"Received: x"])
def test_short_contents_differ_from_nothing(raw: bytes) -> None:
    if raw != b"Received: x":  # all of it was written on the way
        assert content_hash(raw) != content_hash(b"")
    assert len(content_hash(raw)) == 64


@given(
    body=st.binary(max_size=300), head=st.sampled_from([b"Subject: a\r\n", b"Subject: a\nTo: b\n c\n", b"X: \rY: z\n"])
)
def test_marking_never_changes_the_content(head: bytes, body: bytes) -> None:
    raw = head + b"\n" + body
    assert content_hash(_marked(raw)) == content_hash(raw)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"A: b\n" * 1_000_000, id="fields only"),
        pytest.param(b"A: b\n\n" + b">" * 5_000_000 + b">From ", id="quotes"),
        pytest.param(b"A: b\n\n" + b">From \n" * 800_000, id="quoted lines"),
        pytest.param(b"A: b\n\n" + b"\r" * 5_000_000, id="carriage returns"),
    ],
)
def test_five_megabytes_of_anything_take_a_moment(raw: bytes) -> None:
    started = time.process_time()
    content_hash(raw)
    assert time.process_time() - started < 5.0
