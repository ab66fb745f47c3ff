"""An explanation to show, send and write into headers, made by hand."""

from __future__ import annotations

from spamfilter.classifier.explanation import Counterfactual, Explanation, FactPart, Span, SpanKind
from spamfilter.verdict import Label, Recall, Score

HEAD = "subject: cheap pills\nlinks: pills.example\nbuy now \x1b[31m and have lunch"
SPANS = (
    Span(9, 20, "head", "cheap pills", 0.5, 1.5, SpanKind.SUBJECT),
    Span(28, 41, "head", "pills.example", 0.25, 0.25, SpanKind.LINK),
    Span(42, 49, "head", "buy now", 0.5, 0.0, SpanKind.LOOK_ALIKE, "bu\u0443 n\u043ew"),
    Span(56, 70, "head", "and have lunch", -0.75, -0.25),
    Span(0, 3, "tail", "bye", 0.01, 0.0),
)
FACTS = (
    FactPart("subject_upper", "Its subject is all in capitals.", True, 0.75),
    FactPart("signed", "It is signed by its author.", False, 0.0),
)
RECALL = Recall("c" * 64, Label.SPAM, 1764000000.0, 0.95)


def made(probability: float = 0.99, model_id: str = "scripted-1") -> Explanation:
    """Its parts add up, to something else than the probability's logit."""
    stages = {"ngram": probability, "gpt": probability, "memory": 1.0}
    return Explanation(
        score=Score(probability, stages, model_id, recalled=RECALL, content="c" * 64),
        logit=3.76,
        base=-1.0,
        spans=SPANS,
        facts=FACTS,
        stages={"gpt": 0.51, "ngram": 1.5, "facts": 0.75},
        memory=2.0,
        counterfactuals=(Counterfactual('the link to "pills.example"', 0.12),),
        head=HEAD,
        tail="bye",
    )
