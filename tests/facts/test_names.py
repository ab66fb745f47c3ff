"""Every fact has one name, one group and one function that always answers it."""

from __future__ import annotations

import pytest

from spamfilter import facts
from spamfilter.facts import header_facts, structure_facts, text_facts
from spamfilter.mime import Headers, Walk
from spamfilter.normalise import Normalised

ANSWERS = {
    "header": (facts.HEADER_FACTS, header_facts(Headers(()))),
    "structure": (facts.STRUCTURE_FACTS, structure_facts(Walk(), [], [], [], "", "", "", raw_8bit=False)),
    "text": (facts.TEXT_FACTS, text_facts(Normalised(""))),
}


@pytest.mark.parametrize("group", ANSWERS)
def test_a_group_answers_exactly_its_facts(group: str) -> None:
    names, answers = ANSWERS[group]
    assert set(answers) == set(names)
    assert all(isinstance(value, bool) for value in answers.values())


def test_names_are_unique_and_readable() -> None:
    assert len(set(facts.NAMES)) == len(facts.NAMES) == sum(len(names) for names, _ in ANSWERS.values())
    assert all(name == name.lower() and name.replace("_", "a").isalnum() for name in facts.NAMES)


def test_of_nothing_only_absences_are_present() -> None:
    present = {name for _, answers in ANSWERS.values() for name, value in answers.items() if value}
    assert present == {
        "received_none", "message_id_missing", "date_missing", "from_missing", "to_missing", "subject_missing",
        "content_type_missing", "text_empty", "text_one_line", "text_only",
    }  # fmt: skip
