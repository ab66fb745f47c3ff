"""The Received field that we prepend, and counting those that are there to notice mail that goes in circles.

Source: RFC 5321 4.4 (trace information) and 6.3 (loop detection), RFC 3848 and 6531 4.3 (`with` types).
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from spamfilter import __version__
from spamfilter.headers import fold
from spamfilter.message import Envelope, Message, Peer, body_offset

_RECEIVED = re.compile(rb"^received[ \t]*:", re.I | re.M)
_UNSAFE = re.compile(r"[^A-Za-z0-9.:_\[\]-]")


def count(raw: bytes) -> int:
    """How many Received fields the header block has."""
    return sum(1 for _ in _RECEIVED.finditer(raw, 0, body_offset(raw)))


def circles(raw: bytes, limit: int) -> bool:
    """True when the header block has more than `limit` Received fields."""
    # counting a word is cheaper than finding fields, and mostly says enough
    return raw[: body_offset(raw)].lower().count(b"received") > limit and count(raw) > limit


def field(message: Message, peer: Peer, protocol: str, hostname: str, *, now: datetime | None = None) -> bytes:
    """Our Received field with CRLF. `peer` is who really is at the other end, `protocol` SMTP, ESMTP or UTF8SMTP."""
    stamp = format_datetime(now) if now else _stamp(int(time.time()))
    return fold(
        "Received",
        f"from {_UNSAFE.sub('?', peer.name)[:255] or 'unknown'} ({_literal(peer)}) "
        f"by {hostname} (spamfilter {__version__}) with {protocol} id {message.id}{_for(message.envelope)}; {stamp}",
    )


@lru_cache(maxsize=4)
def _stamp(second: int) -> str:
    """A second since the epoch in local time, as RFC 5322 3.3 writes it; many messages share one."""
    return format_datetime(datetime.fromtimestamp(second).astimezone())


def _literal(peer: Peer) -> str:
    if not peer.address:
        return "local socket"
    return f"[IPv6:{peer.address}]" if ":" in peer.address else f"[{peer.address}]"


def _for(envelope: Envelope) -> str:
    # Naming one of several recipients would tell the others about a blind copy.
    if len(envelope.rcpt_tos) != 1 or not envelope.rcpt_tos[0].isascii():
        return ""
    return f" for <{envelope.rcpt_tos[0]}>"
