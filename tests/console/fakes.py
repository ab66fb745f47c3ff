"""Stand-ins for what lies behind the console: an engine that explains as told, a book that remembers."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from spamfilter.classifier.explanation import Counterfactual, Explanation, FactPart, Span, SpanKind
from spamfilter.document import extract, render
from spamfilter.message import Message
from spamfilter.verdict import Failure, Score
from tests.fakes import FakeEngine


class ExplainingEngine(FakeEngine):
    """A fake engine that can explain, too: the word "viagra" moves it to spam, every other word a little to ham.

    `explanation` is given instead where it is set.
    """

    explanation: Explanation | Failure | None = None

    async def explain(self, message: Message) -> Explanation | Failure:
        """The parts of what `score` says."""
        outcome = await self.score(message)
        if self.explanation is not None or isinstance(outcome, Failure):
            return self.explanation or outcome
        return explained(message, outcome)


def explained(message: Message, score: Score) -> Explanation:
    """An explanation whose parts add up to the score."""
    head, tail = render(extract(message.raw, message.kind))
    words = [*re.finditer(r"\w+", head)]
    loud = [word for word in words if word.group() == "viagra"]
    spans = []
    for word in words:
        moved = 3.0 / len(loud) if word in loud else -0.5 / max(1, len(words) - len(loud))
        kind = SpanKind.SUBJECT if word.start() < head.find("\n") and head.startswith("subject:") else SpanKind.WORDS
        spans.append(Span(word.start(), word.end(), "head", word.group(), moved / 3, moved * 2 / 3, kind))
    facts = (
        FactPart("message_id_missing", "The mail has no Message-ID.", True, 0.4),
        FactPart("reply_to_differs", "Replies go to another domain.", False, 0.0),
    )
    logit = math.log(score.probability / (1 - score.probability))
    moved = sum(span.moved for span in spans) + 0.4
    without = (Counterfactual('the word "viagra"', 0.2),) if loud else ()
    stages = {"gpt": sum(span.gpt for span in spans), "ngram": sum(span.ngram for span in spans), "facts": 0.4}
    return Explanation(score, logit, logit - moved, tuple(spans), facts, stages, 0.0, without, head, tail)


class Note(NamedTuple):
    """One line of the audit."""

    who: str
    role: str
    action: str
    subject: str
    detail: str | None
    address: str | None


class FakeAudit:
    """Keeps every note in order."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def note(self, who: str, role: str, action: str, subject: str, detail: str | None, address: str | None) -> None:
        self.notes.append(Note(who, role, action, subject, detail, address))

    def close(self) -> None:
        """Nothing to let go of."""
