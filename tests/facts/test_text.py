"""Facts about the visible text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.facts import TEXT_FACTS, text_facts
from spamfilter.normalise import Normalised


@pytest.mark.parametrize(
    ("text", "present"),
    [
        ("", "text_empty text_one_line"),
        ("See you at noon", "text_short text_one_line"),
        ("BUY OUR PILLS TODAY AND SAVE LOTS", "text_upper_much text_upper_words"),
        ("Wow! Great! Now! Yes!", "text_exclaims_many"),
        ("You win $500 today", "text_money"),
        ("it costs one million", "text_money"),
        ("Dear valued customer,\nhi", "text_greeting_generic"),
        ("click here to unsubscribe", "text_click text_unsubscribe"),
        ("URGENT: act now, verify your account password", "text_urgent text_credentials"),
        ("> quoted\nanswer", "text_quoted"),
        ("bye\n--\nAnn", "text_signature"),
        ("On Monday Ann wrote:\nhello", "text_attribution"),
        ("-----Original Message-----\nhello", "text_attribution"),
        ("call foo() in main.py:12", "text_code"),
        ("if (x) {\n  y;\n}", "text_code"),
        ("call 555-123-4567", "text_phone"),
        ("请点击这里，特价发票优惠酬宾", "text_chinese text_foreign_script text_click"),
        ("Привет, как дела у вас сегодня, друзья", "text_cyrillic text_foreign_script"),
        ("12345 67890 12345 67890 ab", "text_digits_many"),
        ("x" * 30, "text_long_words"),
        ("word " * 2000, "text_long"),
    ],
)
def test_present(text: str, present: str) -> None:
    found = text_facts(Normalised(text))
    assert {name for name in present.split() if not found[name]} == set()


@pytest.mark.parametrize("name", [name for name in TEXT_FACTS if name not in ("text_short", "text_one_line")])
def test_absent_from_a_plain_note(name: str) -> None:
    assert not text_facts(Normalised("Lunch at noon then, and bring the book that I lent you."))[name]


def test_what_was_undone_is_told() -> None:
    found = text_facts(Normalised("x", invisible=1, look_alikes=1, spaced=1))
    assert found["text_invisible"] and found["text_look_alikes"] and found["text_spaced_words"]


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "1",
        "_",
        "-",
        " ",
        ".",
        "a.",
        "1a",
        "{",
        "; ",
        "wrote:",
        "dear ",
        "$",
        "1 ",
        "-- ",
        "\n",
        "\n ",
        "(",
        "a()",
        "é",
        "555-",
        "- ",
    ],
)
def test_long_runs_take_one_pass(unit: str) -> None:
    assert set(text_facts(Normalised(unit * (300_000 // len(unit)) + "!"))) == set(TEXT_FACTS)


@given(st.text(max_size=120))
def test_never_raises(text: str) -> None:
    assert set(text_facts(Normalised(text))) == set(TEXT_FACTS)
