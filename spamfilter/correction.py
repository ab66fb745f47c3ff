"""What a person says of a message: the correction, who made it, and by which content it is known again.

A message is known by its content, not by its copy: the one in a Maildir and the one that passed the relay differ by
line ends and by what was written on top of them on the way, and must be one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from spamfilter.header_block import fields_named, without
from spamfilter.headers import strip
from spamfilter.message import Kind, body_offset
from spamfilter.verdict import Label

_TRACE = (
    b"received return-path delivered-to x-original-to envelope-to x-envelope-to x-envelope-from delivery-date "
    b"authentication-results received-spf x-received x-virus-scanned x-virus-status "
    b"status x-status x-keywords x-uid x-imap x-imapbase content-length lines x-gmail-labels x-gm-thrid"
)
_TRACE_FAMILIES = b"arc- x-mozilla-"
"""Fields that relays, delivery agents and mailboxes add; RFC 5321 4.4, RFC 8601, RFC 8617, mbox(5)."""
_WRITTEN_ON_THE_WAY = fields_named(
    b"(?:" + _TRACE.replace(b" ", b"|") + rb")[ \t\r\v\f]*(?::|(?=\n)|\Z)|" + _TRACE_FAMILIES.replace(b" ", b"|")
)
_QUOTED_FROM = re.compile(rb"\n>+From ")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who corrected (a login name, an address), how (`command line`, `maildir`), and through which frontend."""

    who: str
    how: str
    channel: str = "cli"


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said of a content: ham, spam, or None where it is to be forgotten."""

    content: str
    label: Label | None
    provenance: Provenance
    time: datetime


class Corrected(NamedTuple):
    """A person's last word (`label`: ham or spam) on a message for which `model_id` had `said` something, and when."""

    time: datetime
    model_id: str
    said: Label
    label: Label


def content_hash(raw: bytes, kind: Kind = Kind.MAIL) -> str:
    """Hex sha256 of what the sender wrote, the same for every copy of a message.

    Left out are verdict headers, what hosts and mailboxes write on the way (`Received`, `Delivered-To`, `Status`...),
    the mbox line and the quoting of `From ` lines, the kind of line ends, and blank lines at either end.
    """
    text, kind = unmarked(raw.replace(b"\r\n", b"\n"), kind)
    if kind is Kind.MAIL:
        offset = body_offset(text)
        text = without(_WRITTEN_ON_THE_WAY, text[:offset]) + text[offset:]
    if b">From " in text:
        text = _QUOTED_FROM.sub(b"\nFrom ", b"\n" + text)
    return hashlib.sha256(text.strip(b"\n")).hexdigest()


def unmarked(raw: bytes, kind: Kind = Kind.MAIL) -> tuple[bytes, Kind]:
    """A message without its mbox line and verdict headers.

    Plain text that was marked has nothing in its header block but verdicts; it is plain text again.
    """
    if kind is not Kind.MAIL:
        return raw, kind
    offset = body_offset(raw)
    head, body = strip(raw[:offset]), raw[offset:]
    if head.startswith((b"From ", b">From ")) and (head + body).count(b"\n") > 1:  # a lone line is all there is
        head = head[head.find(b"\n") + 1 :]
    if not head.strip(b"\r\n") and offset > 2:  # a mail that begins with its blank line has no header block to lose
        return body, Kind.TEXT
    return head + body, Kind.MAIL
