"""Paths are understood, parameters are kept."""

from __future__ import annotations

import pytest

from spamfilter.frontends.smtp.parameters import BadArgumentError, parse_path, parse_xforward


@pytest.mark.parametrize(
    ("argument", "address", "wire"),
    [
        ("FROM:<a@b.c>", "a@b.c", b"<a@b.c>"),
        ("from:<a@b.c>", "a@b.c", b"<a@b.c>"),
        ("FROM: <a@b.c>", "a@b.c", b"<a@b.c>"),
        ("FROM:<>", "", b"<>"),
        ("FROM:a@b.c", "a@b.c", b"<a@b.c>"),
        ("FROM:<postmaster>", "postmaster", b"<postmaster>"),
        ("FROM:<@x.y,@z:a@b.c>", "a@b.c", b"<@x.y,@z:a@b.c>"),
        ('FROM:<"a > b \\" c"@b.c>', '"a > b \\" c"@b.c', b'<"a > b \\" c"@b.c>'),
        ("FROM:<a@[IPv6:::1]>", "a@[IPv6:::1]", b"<a@[IPv6:::1]>"),
        ("FROM:<jörg@müller.example> SMTPUTF8", "jörg@müller.example", "<jörg@müller.example> SMTPUTF8".encode()),
        (
            "FROM:<a@b.c> SIZE=12 body=8bitmime  RET=HDRS ENVID=QQ+3D314 AUTH=<>",
            "a@b.c",
            b"<a@b.c> SIZE=12 body=8bitmime RET=HDRS ENVID=QQ+3D314 AUTH=<>",
        ),
    ],
)
def test_mail(argument: str, address: str, wire: bytes) -> None:
    parsed = parse_path(argument, "FROM")
    assert (parsed.address, parsed.wire) == (address, wire)


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        (None, 501),
        ("", 501),
        ("FROM", 501),
        ("TO:<a@b.c>", 501),
        ("FROM:", 501),
        ("FROM:<a@b.c", 501),
        ("FROM:<a@b.c>SIZE=1", 501),
        ("FROM:<a b@b.c>", 501),
        ("FROM:<a@b.c> =x", 501),
        ("FROM:<a@b.c> SIZE=", 501),
        ("FROM:<a@b.c> SIZE=1 size=2", 501),
        ("FROM:<a@b.c\r>", 501),
        ('FROM:<"a\rRCPT TO:<x@y>"@b.c>', 501),
        ("FROM:<a\0@b.c>", 501),
        ("FROM:<j\udcf6rg@b.c>", 553),
    ],
)
def test_what_cannot_be_understood_is_refused(argument: str | None, code: int) -> None:
    with pytest.raises(BadArgumentError) as refused:
        parse_path(argument, "FROM")
    assert refused.value.reply.code == code


def test_a_recipient_is_not_empty_and_keeps_its_dsn_parameters() -> None:
    with pytest.raises(BadArgumentError):
        parse_path("TO:<>", "TO")
    parsed = parse_path("TO:<b@c.d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@c.d", "TO")
    assert parsed.wire == b"<b@c.d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@c.d"
    assert parsed.value("ORCPT") == "rfc822;b+2Bx@c.d"


def test_a_parameter_can_be_left_out() -> None:
    parsed = parse_path("FROM:<a@b.c> SIZE=1 Auth=x@y SMTPUTF8", "FROM")
    assert parsed.value("AUTH") == "x@y"
    assert parsed.without("AUTH").wire == b"<a@b.c> SIZE=1 SMTPUTF8"
    assert parsed.value("SMTPUTF8") == ""
    assert parsed.value("BODY") is None


def test_xforward_attributes() -> None:
    assert parse_xforward("NAME=spike.example ADDR=192.0.2.7 helo=a+20b PORT=[UNAVAILABLE] junk") == {
        "NAME": "spike.example",
        "ADDR": "192.0.2.7",
        "HELO": "a b",
    }
