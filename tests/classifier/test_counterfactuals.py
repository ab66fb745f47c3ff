"""Counterfactuals: the model asked again, each thing under its name, the greatest difference first."""

from __future__ import annotations

from spamfilter.classifier.counterfactuals import counterfactuals
from spamfilter.classifier.cuttings import Cuttings
from spamfilter.classifier.explanation import FactPart
from spamfilter.classifier.passages import Budget, Texts, passages
from spamfilter.classifier.reading import Reading
from spamfilter.verdict import Label, Recall, Score

PREAMBLE = "from: ann\nsubject: offer\nlinks: bad.example good.example\nflags: shouting, numeric link"
VALUES = {"pills": 2.0, "bad.example": 1.0, "http://bad.example": 1.0, "good.example": -1.0, "numeric": 0.5}
FACTS = {"link_port": 1.0, "subject_upper": 0.75}


def without(
    text: str, preamble: str = PREAMBLE, *, recall: Recall | None = None, seconds: float = 60.0
) -> dict[str, float]:
    """What is left out -> the logit, with a judge who adds up words."""

    def judge(head: str, tail: str) -> tuple[float, float]:
        return sum(VALUES.get(word, 0.0) for word in head.replace(",", " ").split()), 0.0

    reading = Reading(
        score=Score(0.9, {}, "m", recalled=recall),
        bias=0.25,
        present=FACTS,
        absent=(),
        facts_add=lambda total: total,
        recalled=lambda logit: logit + 4.0 if recall is not None else logit,
        probability=lambda logit: logit,
    )
    cuttings = Cuttings(f"{preamble}\n{text}" if preamble else text, "", preamble, {})
    texts = Texts(cuttings, judge, Budget(60.0), [0.0] * len(cuttings.words))
    found = passages(texts)
    texts.budget.seconds = seconds
    facts = [FactPart(name, f"It has {name}.", True, moved) for name, moved in FACTS.items()]
    return {one.without: one.probability for one in counterfactuals(reading, texts, found, facts)}


OWN = 0.25 + 1.75 + 2.0 + 1.0 + 1.0 - 1.0 + 0.5


def test_each_thing_is_left_out_under_its_name_the_greatest_difference_first() -> None:
    found = without("buy pills at http://bad.example now")
    assert found['the text "pills"'] == OWN - 2.0
    assert found['the link to "bad.example"'] == OWN - 2.0
    assert found['the link to "good.example"'] == OWN + 1.0
    assert found["this: It has link_port."] == OWN - 1.0
    assert found["this: It has subject_upper."] == OWN - 0.75
    apart = [abs(logit - OWN) for logit in found.values()]
    assert apart == sorted(apart, reverse=True)


def test_without_any_link_the_facts_and_the_flags_about_links_go_too() -> None:
    assert without("buy pills at http://bad.example now")["any link"] == OWN - 1.0 - 0.5 - 1.0
    alone = without("buy pills at http://bad.example now", "links: bad.example")
    assert alone['the link to "bad.example"'] == 0.25 + 0.75 + 2.0
    assert "any link" not in alone


def test_what_changes_nothing_is_not_told() -> None:
    assert not [name for name in without("hello there") if "hello" in name or "ann" in name]


def test_what_people_marked_can_be_left_out_too() -> None:
    recall = Recall("c", Label.SPAM, 0.0, 0.95)
    found = without("hello pills", recall=recall)
    assert found["what people marked before"] == OWN - 1.0
    assert found["this: It has link_port."] == OWN - 1.0 + 4.0 - 1.0


def test_without_time_only_what_needs_no_model_is_told() -> None:
    assert set(without("buy pills at http://bad.example now", seconds=0.0)) == {
        "this: It has link_port.",
        "this: It has subject_upper.",
    }
