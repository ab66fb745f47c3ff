"""The values of an explanation: through JSON and back, in sentences, and as the lines of a report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spamfilter.classifier.explanation import Explanation, Span, SpanKind, called, leaning
from tests.classifier.made_explanation import made


def test_an_explanation_survives_json() -> None:
    before = made()
    assert Explanation.from_json(before.score, json.loads(json.dumps(before.as_json()))) == before


def test_a_lone_surrogate_survives_json() -> None:
    values = {**made().as_json(), "head": "\udcff"}
    assert Explanation.from_json(made().score, json.loads(json.dumps(values))).head == "\udcff"


@pytest.mark.parametrize(
    "damage",
    [
        {"spans": [{"start": 0}]},
        {"spans": [{**made().as_json()["spans"][0], "kind": "nothing"}]},
        {"spans": [{**made().as_json()["spans"][0], "part": "middle"}]},
        {"facts": [1]},
        {"logit": None},
        {"stages": []},
        {"counterfactuals": [{}]},
    ],
)
def test_damage_is_noticed(damage: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Explanation.from_json(made().score, {**made().as_json(), **damage})


def test_what_is_missing_is_told() -> None:
    assert made().missing == pytest.approx(0.0)
    values = {**made().as_json(), "logit": 5.76}
    assert Explanation.from_json(made().score, values).missing == pytest.approx(2.0)


def test_reasons_are_sentences_the_strongest_first() -> None:
    assert [(reason.rule, reason.sentence) for reason in made().reasons()] == [
        ("RECALLED_SPAM", "Somebody marked a message like this one as spam (95% alike)."),
        ("TEXT_SUBJECT", '"cheap pills" in the subject speaks strongly for spam.'),
        ("TEXT_WORDS", 'The text "and have lunch" speaks strongly against spam.'),
        ("SUBJECT_UPPER", "Its subject is all in capitals."),
        ("TEXT_LINK", 'The link to "pills.example" speaks for spam.'),
        ("TEXT_LOOK_ALIKE", '"buy now", written with look-alike characters, speaks for spam.'),
    ]


def test_a_report_is_in_points() -> None:
    first = made().report()[1]
    assert (first.rule, first.points) == ("TEXT_SUBJECT", 4.0)


def test_long_passages_are_quoted_in_part() -> None:
    span = Span(0, 500, "head", "word\n " * 100, 0.1, 0.0, SpanKind.SENDER)
    assert called(span) == f'The sender "{("word " * 12)}..."'
    assert leaning(-0.1) == "speaks slightly against spam"
