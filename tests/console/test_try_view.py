"""Text cut at its spans, tones by strength, disguises named: nothing lost, nothing twice."""

from __future__ import annotations

import pytest

from spamfilter.classifier.explanation import Explanation, FactPart, Span, SpanKind
from spamfilter.console.try_view import MOST_REASONS, pieces, tone, undone, weighed
from tests.fakes import score

HEAD = "subject: you won\nclaim it now"


def explanation(*spans: Span, facts: tuple[FactPart, ...] = (), head: str = HEAD) -> Explanation:
    return Explanation(score(0.9), 2.2, 0.0, spans, facts, {}, 0.0, (), head, "the end")


def test_the_pieces_are_the_text() -> None:
    second, first = Span(17, 22, "head", "claim", 1.0, 1.0), Span(9, 12, "head", "you", -0.1, 0.0)
    of_tail = Span(0, 3, "tail", "the", 0.5, 0.0)
    made = pieces(explanation(second, first, of_tail), "head")
    assert "".join(piece.text for piece in made) == HEAD
    assert [(piece.text, piece.tone) for piece in made if piece.tone] == [("you", "ham-1"), ("claim", "spam-4")]
    assert "GPT +1.00, n-grams +1.00" in made[3].title
    assert [piece.tone for piece in pieces(explanation(of_tail), "tail")] == ["spam-2", ""]


@pytest.mark.parametrize(
    ("moved", "name"), [(0.0, ""), (0.04, ""), (-0.05, "ham-1"), (0.3, "spam-2"), (-0.8, "ham-3"), (9.0, "spam-4")]
)
def test_tones_go_with_strength(moved: float, name: str) -> None:
    assert tone(moved) == name


def test_reasons_are_weighed_beside_the_strongest() -> None:
    facts = tuple(FactPart(f"f{n}", f"Fact {n}.", True, 2.0 / (n + 1)) for n in range(20))
    made = weighed(explanation(facts=facts))
    assert len(made) == MOST_REASONS
    assert [one.share for one in made[:2]] == [100, 50]
    assert made[0].leans == "spam"
    assert weighed(explanation()) == []


def test_a_disguise_is_told_once_with_its_characters() -> None:
    spans = [Span(0, 4, "head", "you.", 0.1, 0.1, SpanKind.LOOK_ALIKE, "yоu")] * 2
    plain = Span(4, 7, "head", "won", 0.1, 0.1, SpanKind.WORDS)
    (one,) = undone(explanation(*spans, plain))
    assert (one.written, one.read, one.how) == ("yоu", "you", "look-alike characters")
    assert [(sign.code, sign.name) for sign in one.signs] == [("U+043E", "cyrillic small letter o")]
