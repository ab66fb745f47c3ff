"""Names that are answered, and origins from which changes are taken."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from spamfilter.console.security.origin import answers_to, from_elsewhere, host_name


@pytest.mark.parametrize(
    ("host", "hosts", "loopback", "answered"),
    [
        ("localhost", [], True, True),
        ("filter.example", [], True, False),
        ("filter.example", ["Filter.Example"], True, True),
        ("filter.example", [], False, True),
        ("other.example", ["filter.example"], False, False),
        ("127.0.0.1", ["filter.example"], False, True),
        ("", [], False, False),
    ],
)
def test_a_name_is_answered_or_not(host: str, hosts: list[str], loopback: bool, answered: bool) -> None:
    assert answers_to(host, hosts, loopback=loopback) is answered


@pytest.mark.parametrize(
    ("field", "name"),
    [("A.example:80", "a.example"), ("[::1]:80", "::1"), ("", ""), ("[::1", ""), ("user@a.example", "a.example")],
)
def test_the_name_in_a_host_field(field: str, name: str) -> None:
    assert host_name(Headers({"host": field})) == name


@pytest.mark.parametrize(
    ("fields", "elsewhere"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"origin": "http://filter.example:11380"}, False),
        ({"origin": "http://filter.example"}, True),
        ({"origin": "null"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://filter.example:11380"}, True),
    ],
)
def test_where_a_change_comes_from(fields: dict[str, str], elsewhere: bool) -> None:
    headers = Headers({"host": "filter.example:11380", **fields})
    assert from_elsewhere("POST", headers) is elsewhere
    assert from_elsewhere("GET", headers) is False
