"""Who is at the other end of a request: its address, its protocol and its user, as far as they may be believed.

A reverse proxy's word counts only when the connection comes from a peer that the configuration trusts; from anybody
else the same fields are noise.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from spamfilter.config import ConsoleProxySettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MOST_NAME = 64


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` is the client's, "" where unknown; `proxied` is the name that a trusted proxy vouches for, or None.

    `direct` is True where nothing in the request says that it passed a proxy.
    """

    address: str
    secure: bool
    proxied: str | None
    direct: bool


def caller(scope: Scope, proxy: ConsoleProxySettings) -> Caller:
    """The caller of an ASGI scope."""
    headers = Headers(scope=scope)
    address = str((scope.get("client") or ("",))[0])
    secure = scope.get("scheme") == "https"
    forwarded = headers.get("x-forwarded-for", "")
    direct = not forwarded and "forwarded" not in headers and "x-forwarded-proto" not in headers
    if not trusted(address, proxy):
        return Caller(address, secure, None, direct)
    last = forwarded.rpartition(",")[2].strip()  # what stands before it, the client may have written itself
    if _parsed(last) is not None:
        address = last
    secure = secure or headers.get("x-forwarded-proto", "").strip().lower() == "https"
    names = headers.getlist(proxy.header)
    name = names[0].strip() if len(names) == 1 else ""
    usable = 0 < len(name) <= _MOST_NAME and name.isprintable()
    return Caller(address, secure, name if usable else None, direct)


def trusted(address: str, proxy: ConsoleProxySettings) -> bool:
    """True where a proxy is configured and `address` is one of its peers."""
    parsed = _parsed(address)
    return bool(proxy.header) and parsed is not None and any(parsed in network for network in proxy.trusted_peers)


def is_loopback(host: str) -> bool:
    """True for addresses and names of this machine itself."""
    parsed = _parsed(host.strip("[]"))
    return host.lower() == "localhost" or (parsed is not None and parsed.is_loopback)


def network_of(address: str) -> str:
    """What one attacker can easily have: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


def _parsed(text: str) -> Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
