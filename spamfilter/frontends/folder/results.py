"""Where a decided file goes, and what is written there: the marked message, in pieces when it is too large to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath

from spamfilter import headers
from spamfilter.frontends.folder.names import Source
from spamfilter.message import Kind, Message, body_offset, kind_of
from spamfilter.verdict import Action, Decision, Label


def folder_for(decision: Decision) -> str | None:
    """`ham`, `unsure` or `spam`; None when the file has to wait and be scanned again."""
    if decision.action is Action.TEMPFAIL:
        return None
    if decision.label is None:
        return str(Label.UNSURE)
    if decision.action in (Action.QUARANTINE, Action.REJECT):
        return str(Label.SPAM)
    return str(decision.label)


def kind(name: str, source: Source, raw: bytes) -> Kind:
    """A Maildir holds mail and `.eml` is mail; for anything else the bytes are asked."""
    if source is Source.NEW or PurePath(name).suffix.lower() == ".eml":
        return Kind.MAIL
    return kind_of(raw)


def marked(
    message: Message, decision: Decision, markup: headers.Markup, rest: Callable[[int], Iterable[bytes]] | None = None
) -> Iterator[bytes]:
    """The bytes to publish, in pieces.

    With `rest`, `message.raw` is only the beginning of the file, and `rest(offset)` gives what follows from there on.
    Of a header block that does not end within that beginning, forged fields are removed up to its last full line.
    """
    if rest is None:
        yield headers.mark(message, decision, markup)
        return
    raw = message.raw
    cut = len(raw) if message.kind is Kind.TEXT else body_offset(raw)
    if message.kind is Kind.MAIL and cut == len(raw):
        cut = raw.rfind(b"\n") + 1
    yield headers.mark(replace(message, raw=raw[:cut]), decision, markup)
    yield raw[cut:]
    yield from rest(len(raw))
