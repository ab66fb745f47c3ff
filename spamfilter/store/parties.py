"""Who a message was from, who handed it over, and whom it was for, as one text that is searched."""

from __future__ import annotations

from collections.abc import Iterable

MOST_BYTES = 1_200
"""PostgreSQL takes no more than 2,700 bytes into an index. Of many recipients the first ones are found."""
ESCAPE = "\\"
"""The escape character of the patterns."""


def parties_of(mail_from: str | None, peer: str | None, rcpt_tos: Iterable[str]) -> str:
    """Three lines in lower case: the sender (`<>` for the null sender), the peer, the recipients.

    That there are always two line ends tells in SQL's LIKE which line a word stands in; see `sender_like`.
    """
    sender = "<>" if mail_from == "" else mail_from or ""
    lines = (sender, peer or "", " ".join(rcpt_tos))
    room = MOST_BYTES
    kept: list[str] = []
    for line, share in zip(lines, (3, 2, 1), strict=True):  # a long line must not push out those after it
        cut = _line(line)[: room // share]
        kept.append(cut.decode("utf-8", "ignore"))
        room -= len(cut)
    return "\n".join(kept)


def anyone_like(text: str) -> str:
    """The LIKE pattern for a text anywhere in the three lines."""
    return f"%{_escaped(text)}%"


def sender_like(text: str) -> str:
    """The LIKE pattern for a text in the sender: two lines follow it."""
    return f"%{_escaped(text)}%\n%\n%"


def recipient_like(text: str) -> str:
    """The LIKE pattern for a text in the recipients: two lines come before it."""
    return f"%\n%\n%{_escaped(text)}%"


def _line(text: str) -> bytes:
    return text.lower().replace("\n", " ").encode("utf-8", "replace")


def _escaped(text: str) -> str:
    plain = text.lower().replace("\n", " ")
    for special in (ESCAPE, "%", "_"):
        plain = plain.replace(special, ESCAPE + special)
    return plain
