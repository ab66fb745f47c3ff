"""What the page that tries a message shows of its explanation: marked text, reasons in order, and what was undone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spamfilter.classifier.disguises import EDGES
from spamfilter.classifier.explanation import LEAST_SAID, Explanation, Part, Reason, Span, SpanKind

MOST_REASONS = 8
MOST_UNDONE = 12
_MOST_SIGNS = 8
_STEPS = (LEAST_SAID, 0.25, 0.75, 1.5)
_UNDONE = {
    SpanKind.LOOK_ALIKE: "look-alike characters",
    SpanKind.HIDDEN: "invisible characters",
    SpanKind.SPACED: "letters apart",
}


class Piece(NamedTuple):
    """A stretch of the text as it is shown; `tone` is "" or a class such as spam-3, `title` says what it moved."""

    text: str
    tone: str
    title: str


class Sign(NamedTuple):
    """A character that stood for another one."""

    sign: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Undone:
    """A word that was written so that filters misread it."""

    written: str
    read: str
    how: str
    signs: Sequence[Sign]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A reason with the share of the strongest one's weight, 0-100."""

    reason: Reason
    share: int

    @property
    def leans(self) -> str:
        """To which label it leans."""
        return "spam" if self.reason.moved > 0 else "ham"


def pieces(explained: Explanation, part: Part) -> list[Piece]:
    """The head or the tail, cut at its spans."""
    text = explained.head if part == "head" else explained.tail
    made, at = [], 0
    for span in sorted((span for span in explained.spans if span.part == part), key=lambda span: span.start):
        if span.start > at:
            made.append(Piece(text[at : span.start], "", ""))
        made.append(Piece(text[span.start : span.end], tone(span.moved), _title(span)))
        at = span.end
    return [*made, Piece(text[at:], "", "")]


def tone(moved: float) -> str:
    """A class for what a passage moved: its side and how strongly, 1-4; "" for what says nothing."""
    strength = sum(abs(moved) >= step for step in _STEPS)
    return f"{'spam' if moved > 0 else 'ham'}-{strength}" if strength else ""


def weighed(explained: Explanation) -> list[Weighed]:
    """The strongest reasons, each beside the strongest of all."""
    reasons = explained.reasons()[:MOST_REASONS]
    most = max((abs(reason.moved) for reason in reasons), default=1.0)
    return [Weighed(reason, max(1, round(100 * abs(reason.moved) / most))) for reason in reasons]


def undone(explained: Explanation) -> list[Undone]:
    """Words that were written in disguise, and by which characters; each once."""
    found: dict[str, Undone] = {}
    for span in explained.spans:
        if span.kind in _UNDONE and span.written and span.written not in found:
            signs = [*_signs(span)][:_MOST_SIGNS]
            found[span.written] = Undone(span.written, span.text.strip(EDGES), _UNDONE[span.kind], signs)
    return [*found.values()][:MOST_UNDONE]


def _signs(span: Span) -> Iterator[Sign]:
    """The characters of a span as it was written that were read as something else, or not at all."""
    for sign in dict.fromkeys(span.written):
        if not sign.isascii() and sign.casefold() not in span.text:
            yield Sign(sign, f"U+{ord(sign):04X}", unicodedata.name(sign, "unnamed").lower())


def _title(span: Span) -> str:
    stages = ", ".join(f"{name} {moved:+.2f}" for name, moved in _shares(span) if moved)
    disguise = f", written {span.written!r}" if span.written else ""
    return f"{span.moved:+.2f} log-odds ({stages}){disguise}" if stages else ""


def _shares(span: Span) -> Iterable[tuple[str, float]]:
    return (("GPT", span.gpt), ("n-grams", span.ngram))
