"""Who calls: a proxy is believed where it is trusted, and only its own word."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from spamfilter.console.security.caller import Caller, caller, is_loopback, network_of
from tests.console.serving import Proxy

TRUSTED = Proxy("X-User", (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128")))


def scope(address: str, scheme: str = "http", **fields: str) -> dict[str, Any]:
    """An ASGI scope; field names with _ for -."""
    headers = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in fields.items()]
    return {"type": "http", "client": (address, 4711), "scheme": scheme, "headers": headers}


@pytest.mark.parametrize(
    ("address", "fields", "found"),
    [
        ("192.0.2.1", {}, Caller("192.0.2.1", False, None, True)),
        ("10.1.2.3", {"X_User": "ann"}, Caller("10.1.2.3", False, "ann", True)),
        ("10.1.2.3", {"X_User": " "}, Caller("10.1.2.3", False, None, True)),
        ("192.0.2.1", {"X_User": "ann"}, Caller("192.0.2.1", False, None, True)),
        ("10.1.2.3", {"X_Forwarded_For": "6.6.6.6, 192.0.2.9"}, Caller("192.0.2.9", False, None, False)),
        ("10.1.2.3", {"X_Forwarded_For": "unknown"}, Caller("10.1.2.3", False, None, False)),
        ("192.0.2.1", {"X_Forwarded_For": "127.0.0.1"}, Caller("192.0.2.1", False, None, False)),
        ("10.1.2.3", {"X_Forwarded_Proto": "HTTPS"}, Caller("10.1.2.3", True, None, False)),
        ("192.0.2.1", {"X_Forwarded_Proto": "https"}, Caller("192.0.2.1", False, None, False)),
        ("::ffff:10.1.2.3", {"X_User": "ann"}, Caller("::ffff:10.1.2.3", False, "ann", True)),
        ("::1", {"X_User": "ann"}, Caller("::1", False, "ann", True)),
        ("", {"X_User": "ann"}, Caller("", False, None, True)),
    ],
)
def test_a_proxy_is_believed_where_it_is_trusted(address: str, fields: dict[str, str], found: Caller) -> None:
    assert caller(scope(address, **fields), TRUSTED) == found


def test_without_a_configured_field_nobody_is_a_proxy() -> None:
    nobody = Proxy("", TRUSTED.trusted_peers)
    assert caller(scope("10.1.2.3", X_Forwarded_Proto="https"), nobody).secure is False


def test_a_connection_by_tls_is_secure() -> None:
    assert caller(scope("192.0.2.1", "https"), Proxy()).secure


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LocalHost", "::ffff:127.0.0.1"]
)
def test_this_machines_own_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"])
def test_anything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_what_one_attacker_easily_has() -> None:
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert network_of("::ffff:192.0.2.1") == "::ffff:192.0.2.1"
