"""What the next hop offers in its EHLO, and which part of that we may offer to our own client.

We promise nothing on behalf of somebody else: an extension is offered only when the next hop has it and we can carry
it. STARTTLS, AUTH and CHUNKING end at the next hop and are never passed on.
Source: RFC 5321 4.1.1.1, and the documents named beside the extensions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from spamfilter.frontends.smtp.parameters import PathArgument
from spamfilter.frontends.smtp.reply import Reply

_KEYWORD = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)[ =]?(.*)", re.S)

CARRIED = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
"""Extensions without a value that we can carry: RFC 2920, 6152, 6531, 3461, 2034. SIZE and XFORWARD have values."""

REQUIRES = {
    "SIZE": "SIZE",
    "BODY": "8BITMIME",
    "SMTPUTF8": "SMTPUTF8",
    "RET": "DSN",
    "ENVID": "DSN",
    "NOTIFY": "DSN",
    "ORCPT": "DSN",
}
"""Which extension a parameter of MAIL or RCPT belongs to; those not named here are the next hop's to judge."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The extensions in an EHLO reply: keyword in upper case -> the rest of its line."""

    keywords: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_reply(cls, reply: Reply) -> Capabilities:
        """From a positive EHLO reply, whose first line is the greeting."""
        matches = (_KEYWORD.fullmatch(text.strip()) for text in reply.texts[1:])
        return cls({match[1].upper(): match[2].strip() for match in matches if match})

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    @property
    def size(self) -> int | None:
        """The largest message in bytes, or None when there is no fixed limit (RFC 1870)."""
        value = self.keywords.get("SIZE", "").split(" ")[0]
        return int(value) or None if value.isdigit() else None


def offer(capabilities: Capabilities, *, max_size: int, trusted: bool) -> list[str]:
    """The EHLO lines for our client, beside the greeting. `max_size` in bytes is our own limit."""
    lines = [keyword for keyword in CARRIED if keyword in capabilities]
    if "SIZE" in capabilities:
        lines.append(f"SIZE {min(max_size, capabilities.size or max_size)}")
    if trusted and "XFORWARD" in capabilities:
        lines.append(f"XFORWARD {capabilities.keywords['XFORWARD']}".strip())
    return lines


def unsupported(argument: PathArgument, capabilities: Capabilities) -> str | None:
    """The first parameter that the next hop's extensions do not cover, or None."""
    for keyword in argument.keywords:
        needed = REQUIRES.get(keyword)
        if needed is not None and needed not in capabilities:
            return keyword
        if keyword == "BODY" and (argument.value("BODY") or "").upper() not in ("7BIT", "8BITMIME"):
            return keyword  # BINARYMIME needs CHUNKING, which we do not speak
    return None
