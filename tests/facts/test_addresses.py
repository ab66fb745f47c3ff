"""Mailboxes, hosts and registered domains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.facts import address_of, link_host, registered
from spamfilter.facts.addresses import NUMERIC_HOST


@pytest.mark.parametrize(
    ("href", "host"),
    [
        ("http://Shop.Example.com/a", "shop.example.com"),
        ("https://user:pw@evil.example:8080/?x=http://bank.example", "evil.example"),
        ("https://bank.example@evil.example", "evil.example"),
        ("//cdn.example/x", "cdn.example"),
        ("http://[2001:DB8::1]/x", "[2001:db8::1]"),
        ("http://evil.example\\@bank.example", "evil.example"),
        (" http://a.example./ ", "a.example"),
        ("http://a.example?q", "a.example"),
        ("http://a@bank.example@evil.example/", "evil.example"),
        ("mailto:a@b.example", ""),
        ("javascript:alert(1)", ""),
        ("/relative", ""),
        ("#top", ""),
        ("http://", ""),
        ("", ""),
    ],
)
def test_link_host(href: str, host: str) -> None:
    assert link_host(href) == host


@pytest.mark.parametrize(
    ("domain", "base"),
    [
        ("mail.example.com", "example.com"), ("Example.COM.", "example.com"), ("a.b.example.co.uk", "example.co.uk"),
        ("example.de", "example.de"), ("mail.example.de", "example.de"), ("localhost", "localhost"), ("", ""),
    ],
)  # fmt: skip
def test_registered(domain: str, base: str) -> None:
    assert registered(domain) == base


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("Ann Lee <Ann@Example.org>", "Ann Lee", "ann@example.org"),
        ('"Lee, Ann" <ann@example.org>', "Lee, Ann", "ann@example.org"),
        ("ann@example.org", "", "ann@example.org"),
        ("ann@example.org <ann@example.org>", "", "ann@example.org"),
        ("<ann@example.org>", "", "ann@example.org"),
        ("ann@a.example, bob@b.example", "", "ann@a.example"),
        ("ann@a.example, Bob <bob@b.example>", "", "ann@a.example"),
        ('"pay@bank.example" <x@evil.example>', "pay@bank.example", "x@evil.example"),
        ("pay@bank.example <x@evil.example>", "pay@bank.example", "x@evil.example"),
        ('"', "", ""),
        ("undisclosed-recipients:;", "", ""),
        ("(((((", "", ""),
        ("", "", ""),
    ],
)
def test_address_of(value: str, name: str, address: str) -> None:
    assert address_of(value) == (name, address)


@pytest.mark.parametrize("unit", ["a", "@", "a@", "<", '"', "(", " ", ".", '"@', "\\", ","])
def test_address_of_long_runs(unit: str) -> None:
    address_of(unit * (100_000 // len(unit)))
    address_of('"' + unit * (100_000 // len(unit)))


@pytest.mark.parametrize("host", ["192.0.2.7", "[192.0.2.7]", "3221225991", "0xc0000207"])
def test_numeric_hosts(host: str) -> None:
    assert NUMERIC_HOST.match(host)


@pytest.mark.parametrize("host", ["a.example", "1and1.example", "192.0.2.7.example", "12345", ""])
def test_named_hosts(host: str) -> None:
    assert not NUMERIC_HOST.match(host)


@given(st.text(max_size=80))
def test_never_raise(value: str) -> None:
    address_of(value)
    link_host(value)
    registered(value)
