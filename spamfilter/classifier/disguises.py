"""Which words of a message were written so that filters misread them: what `normalise` undid, word by word.

Extraction only counts; this reads the message once more, and only where the counts say that there is something to find.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spamfilter.charsets import decode_text
from spamfilter.classifier.explanation import SpanKind
from spamfilter.html_text import visible
from spamfilter.message import Kind, Message
from spamfilter.mime import Walk, walk
from spamfilter.normalise import normalise

FACTS: Mapping[str, SpanKind] = {
    "text_look_alikes": SpanKind.LOOK_ALIKE,
    "text_invisible": SpanKind.HIDDEN,
    "text_spaced_words": SpanKind.SPACED,
}
"""Known facts that say of what kind of disguise there is one."""

_MOST_CHARACTERS = 50_000
_SPACED = re.compile(r"(?<!\w)\w(?:[^\w\n]{1,3}\w){3,40}(?!\w)")
EDGES = " \t\n.,;:!?()[]{}\"'<>*\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
"""What may stand around a word and is none of it."""


@dataclass(frozen=True, slots=True)
class Disguise:
    """How a word was written, and what was done to it."""

    written: str
    kind: SpanKind


def disguises(message: Message, facts: Mapping[str, bool]) -> dict[str, Disguise]:
    """Word as the model reads it -> how it was written. Empty where the facts know of no disguise."""
    if not any(facts.get(name) for name in FACTS):
        return {}
    found: dict[str, Disguise] = {}
    for text in _texts(message):
        for read, disguise in _in(text[:_MOST_CHARACTERS]):
            found.setdefault(read, disguise)
    return found


def _texts(message: Message) -> Iterator[str]:
    """The subject and what is shown of the body, before any folding."""
    if message.kind is Kind.TEXT:
        yield decode_text(message.raw[: _MOST_CHARACTERS * 4], None)
        return
    seen = Walk()
    for part in walk(message.raw, seen):
        if part.content_type.startswith("text/") and not part.is_attachment:
            text = decode_text(part.content()[0], part.parameters.get("charset"))
            yield visible(text).text if part.content_type == "text/html" else text
    yield seen.headers.text("subject")


def _in(text: str) -> Iterator[tuple[str, Disguise]]:
    for spaced in _SPACED.finditer(text):
        alone = normalise(spaced.group())
        joined = alone.text.lower().strip(EDGES)
        if alone.spaced and " " not in joined:
            yield joined, Disguise(spaced.group(), SpanKind.SPACED)
    before, after = text.split(), normalise(text).text.split()
    together = len(before) == len(after)  # then words that only their neighbours give away are found, too
    for at, written in enumerate(before):
        plain = written.isascii() and not any(sign in written for sign in "013$@")
        if plain:
            continue
        alone = normalise(written)
        read = (after[at] if together else alone.text).lower().strip(EDGES)
        shown = written.lower().strip(EDGES)
        if not read or read == shown or not read.isascii():
            continue
        if alone.invisible:
            yield read, Disguise(written.strip(EDGES), SpanKind.HIDDEN)
        elif alone.look_alikes or read != _without_accents(shown):
            yield read, Disguise(written.strip(EDGES), SpanKind.LOOK_ALIKE)


def _without_accents(word: str) -> str:
    """The word without what honest writing has beyond ASCII: accents, ligatures, wide forms."""
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)).strip(EDGES)
