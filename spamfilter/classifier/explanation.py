"""Why a message got its score, as frozen values: what each passage, fact and memory moved, in log-odds that add up.

`base` is the logit of a message that says nothing: no text, no fact. What spans, facts and memory moved leads from
there to the message's own: `base + sum(span.moved) + sum(fact.moved) + memory == logit`. Above 0 leans to spam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Self, get_args

from spamfilter.headers import POINTS_A_LOGIT, ReportLine
from spamfilter.verdict import Score

Part = Literal["head", "tail"]
SECONDS = 1.5
"""What an explanation may take, unless another time is asked for."""
LEAST_SAID = 0.05
"""What moves the logit by less is hardly worth a word."""
_QUOTED = 60
_MOST_LINES = 12


class SpanKind(StrEnum):
    """What a passage is: where it stands, or what was done to it."""

    WORDS = "words"
    SENDER = "sender"
    SUBJECT = "subject"
    LINK = "link"
    FILE = "file"
    FLAG = "flag"
    LOOK_ALIKE = "look-alike"
    HIDDEN = "hidden"
    SPACED = "spaced"


_CALLED: Mapping[SpanKind, str] = {
    SpanKind.WORDS: "The text {quoted}",
    SpanKind.SENDER: "The sender {quoted}",
    SpanKind.SUBJECT: "{quoted} in the subject",
    SpanKind.LINK: "The link to {quoted}",
    SpanKind.FILE: "The attached {quoted}",
    SpanKind.FLAG: "The mark {quoted}",
    SpanKind.LOOK_ALIKE: "{quoted}, written with look-alike characters,",
    SpanKind.HIDDEN: "{quoted}, written with invisible characters,",
    SpanKind.SPACED: "{quoted}, written with its letters apart,",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of the head or the tail as the model read them, and what they moved.

    `gpt` and `ngram` are each stage's share, in log-odds. `written` is how it stood in the mail where that was undone
    before reading (`kind` says what was undone), else "".
    """

    start: int
    end: int
    part: Part
    text: str
    gpt: float
    ngram: float
    kind: SpanKind = SpanKind.WORDS
    written: str = ""

    @property
    def moved(self) -> float:
        """Both stages together."""
        return self.gpt + self.ngram


@dataclass(frozen=True, slots=True)
class FactPart:
    """A fact that the model weighs, in a sentence for people. One that was looked for and is absent moved nothing."""

    name: str
    sentence: str
    present: bool
    moved: float


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What the probability would be `without` something, named for people."""

    without: str
    probability: float


class Reason(NamedTuple):
    """One part of an explanation in words: what it moved, a name in capitals for programs, and a sentence."""

    moved: float
    rule: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score taken apart; see above for what adds up.

    `score` is that of all stages and the memory, no stage spared. `spans` are in the order of the text and do not
    overlap; `facts` are known facts with a weight, the present ones first, the strongest of them first. `stages` holds
    what each stage (gpt, ngram, facts) moved. `head` and `tail` are the text as the model reads it.
    """

    score: Score
    logit: float
    base: float
    spans: tuple[Span, ...]
    facts: tuple[FactPart, ...]
    stages: Mapping[str, float]
    memory: float
    counterfactuals: tuple[Counterfactual, ...]
    head: str
    tail: str

    @property
    def missing(self) -> float:
        """What the parts leave unexplained of the logit: 0 but for rounding."""
        moved = sum(span.moved for span in self.spans) + sum(fact.moved for fact in self.facts)
        return self.logit - (self.base + moved + self.memory)

    def reasons(self) -> list[Reason]:
        """Everything that moved the score by LEAST_SAID or more, the strongest first."""
        found = [reason for reason in self._all() if abs(reason.moved) >= LEAST_SAID]
        return sorted(found, key=lambda reason: -abs(reason.moved))

    def report(self) -> tuple[ReportLine, ...]:
        """The strongest reasons for the header that mail clients show, in points."""
        return tuple(
            ReportLine(POINTS_A_LOGIT * reason.moved, reason.rule, reason.sentence)
            for reason in self.reasons()[:_MOST_LINES]
        )

    def _all(self) -> Iterator[Reason]:
        if self.memory and (recalled := self.score.recalled) is not None:
            like = f"Somebody marked a message like this one as {recalled.label} ({recalled.similarity:.0%} alike)."
            yield Reason(self.memory, f"RECALLED_{recalled.label.upper()}", like)
        for fact in self.facts:
            yield Reason(fact.moved, fact.name.upper(), fact.sentence)
        for span in self.spans:
            rule = f"TEXT_{span.kind.upper().replace('-', '_')}"
            yield Reason(span.moved, rule, f"{called(span)} {leaning(span.moved)}.")

    def as_json(self) -> dict[str, Any]:
        """All but the score, as data for JSON. Lone surrogates survive, escaped."""
        return {
            "logit": self.logit,
            "base": self.base,
            "spans": [asdict(span) for span in self.spans],
            "facts": [asdict(fact) for fact in self.facts],
            "stages": dict(self.stages),
            "memory": self.memory,
            "counterfactuals": [asdict(one) for one in self.counterfactuals],
            "head": self.head,
            "tail": self.tail,
        }

    @classmethod
    def from_json(cls, score: Score, values: Mapping[str, Any]) -> Self:
        """From `as_json`. Raises ValueError, KeyError or TypeError where it is damaged."""
        return cls(
            score=score,
            logit=float(values["logit"]),
            base=float(values["base"]),
            spans=tuple(_span(one) for one in values["spans"]),
            facts=tuple(FactPart(**one) for one in values["facts"]),
            stages={str(name): float(moved) for name, moved in values["stages"].items()},
            memory=float(values["memory"]),
            counterfactuals=tuple(Counterfactual(**one) for one in values["counterfactuals"]),
            head=str(values["head"]),
            tail=str(values["tail"]),
        )


def called(span: Span) -> str:
    """A span as the subject of a sentence, as the model reads it."""
    text = " ".join(span.text.split()).removeprefix("http://")
    quoted = f'"{text[:_QUOTED]}..."' if len(text) > _QUOTED else f'"{text}"'
    return _CALLED[span.kind].format(quoted=quoted)


def leaning(moved: float) -> str:
    """Which way something speaks, and how loudly."""
    much = "strongly " if abs(moved) >= 1 else "slightly " if abs(moved) < 0.25 else ""
    return f"speaks {much}{'for' if moved > 0 else 'against'} spam"


def _span(values: Mapping[str, Any]) -> Span:
    span = Span(**{**values, "kind": SpanKind(values["kind"])})
    if span.part not in get_args(Part):
        raise ValueError(f"a span of the {span.part!r}")
    return span
