"""Topics: named by phrases whatever stands between their words, cheap on any text, silent on ordinary mail."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.facts.topics import TOPIC_FACTS, topic_facts


def _named(text: str, subject: str = "") -> set[str]:
    return {name.removeprefix("topic_") for name, value in topic_facts(text, subject).items() if value}


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("Cheap Viagra,\nno prescription", "medicine"),
        ("Your account has been temporarily suspended.", "account_threat"),
        ("please VERIFY  your\naccount", "account_threat"),
        ("Your mailbox is almost full", "mailbox_threat"),
        ("your password will expire today", "mailbox_threat"),
        ("the next of kin of the late", "advance_fee"),
        ("refinance your mortgage", "loan"),
        ("a shared document is waiting", "shared_document"),
        ("connect your wallet: metamask", "crypto"),
        ("Txt STOP to 80082, 150p per min", "phone_prize"),
        ("this is not spam, to be removed reply", "removal_law"),
        ("伟哥", "medicine"),
        ("Dear friend,", "greeting"),
        ("your parcel could not be delivered", "parcel"),
    ],
)
def test_a_phrase_names_its_topic(text: str, topic: str) -> None:
    assert topic in _named(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hi Bob, the minutes of Tuesday are in the shared folder over there. See you on Thursday, Ann",
        "> could you look at the patch for the parser?\nLooks fine to me, applied to trunk.",
        "Running late, be there in ten. Can you pick up the children from school?",
        "",
    ],
)
def test_ordinary_mail_names_no_topic(text: str) -> None:
    assert _named(text) <= {"shared_document"}


def test_the_subject_and_the_end_of_a_long_text_are_read() -> None:
    assert "medicine" in _named("hello", "viagra")
    assert "medicine" in _named("harmless words " * 3000 + "viagra")
    assert "medicine" not in _named("harmless words " * 1000 + "viagra " + "harmless words " * 1000)


def test_many_topics_are_a_fact_of_their_own() -> None:
    assert "several" in _named("viagra casino mortgage rolex lottery")
    assert "several" not in _named("viagra casino")


@given(st.text(max_size=400), st.text(max_size=100))
def test_any_text_answers_every_topic(text: str, subject: str) -> None:
    assert set(topic_facts(text, subject)) == set(TOPIC_FACTS)


def test_cost_is_that_of_splitting_the_text() -> None:
    started = time.process_time()
    topic_facts("mailbox pending account suspended " * 200_000)
    assert time.process_time() - started < 2  # a quadratic search would take minutes
