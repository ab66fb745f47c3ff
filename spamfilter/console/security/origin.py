"""Which names the console answers to, and from whose pages it takes requests that change something.

A page of a stranger can point a name of its own at 127.0.0.1 (DNS rebinding) and then read what the browser may read,
so on loopback only this machine's own names are answered. And a browser says from whose page a request comes
(`Sec-Fetch-Site`, `Origin`): requests that change something are taken from our own pages, and from programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from spamfilter.console.security.caller import is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def host_name(headers: Headers) -> str:
    """The host of a request without its port, lower-case; "" where it is missing or damaged."""
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def answers_to(host: str, hosts: Sequence[str], *, loopback: bool) -> bool:
    """True where the console, bound to loopback or not, answers under this name. `hosts` are configured ones."""
    if host in {name.lower() for name in hosts} or is_loopback(host):
        return True
    return not loopback and not hosts and bool(host)


def from_elsewhere(method: str, headers: Headers) -> bool:
    """True for a request that would change something and that a page of another origin has caused."""
    if method in SAFE_METHODS:
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return origin == "null" or urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:  # no browser's
        return True
