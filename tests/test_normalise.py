"""Folding: a reader's eye is not fooled by what this undoes, and honest text stays what it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spamfilter.normalise import Normalised, normalise

pytestmark = pytest.mark.timeout(90)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain text", Normalised("plain text"), id="plain"),
        pytest.param("a  b\t\tc \r\n\r\n\r\n\r\nd\re", Normalised("a b c \n\nd\ne"), id="blanks"),
        pytest.param("ｆｕｌｌ　ｗｉｄｔｈ ①", Normalised("full width 1"), id="compatibility"),
        pytest.param("v\u200bi\u200ba\u200bg\u200br\u200ba", Normalised("viagra", invisible=5), id="zero-width"),
        pytest.param("so\u00adft hy\u00adphen", Normalised("soft hyphen", invisible=2), id="soft-hyphen"),
        pytest.param("\ufeffbom \u202eright-to-left", Normalised("bom right-to-left"), id="marks"),
        pytest.param("Pаypаl", Normalised("Paypal", look_alikes=1), id="cyrillic-look-alikes"),
        pytest.param("Аpple іs hеre", Normalised("Apple is here", look_alikes=3), id="three-words"),
        pytest.param("Привет, Paypal", Normalised("Привет, Paypal"), id="cyrillic-words-stay"),
        pytest.param("你好 world", Normalised("你好 world"), id="chinese-stays"),
        pytest.param("prêt à porter", Normalised("pret à porter"), id="accents"),
        pytest.param("V I A G R A now", Normalised("VIAGRA now", spaced=1), id="spaced"),
        pytest.param("v.i.a.g.r.a / c-a-s-h", Normalised("viagra / cash", spaced=2), id="other-separators"),
        pytest.param("a b c", Normalised("a b c"), id="three-letters-are-honest"),
        pytest.param("U.S. e.g. i.e.", Normalised("U.S. e.g. i.e."), id="abbreviations"),
        pytest.param("a\0b\x07c\x7f", Normalised("abc"), id="control"),
        pytest.param("", Normalised(""), id="empty"),
    ],
)
def test_folding(text: str, expected: Normalised) -> None:
    assert normalise(text) == expected


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text(alphabet="aо.- \n\r\t\u200bé\0", max_size=40)))
def test_bounds(text: str) -> None:
    folded = normalise(text)
    assert "\r" not in folded.text and "\0" not in folded.text and "\n\n\n" not in folded.text
    assert "  " not in folded.text and folded.text == folded.text.strip()
    assert len(folded.text) <= 2 * len(unicodedata.normalize("NFKC", text))


@given(st.text(alphabet=st.characters(max_codepoint=126, min_codepoint=33), max_size=60))
def test_words_without_blanks_lose_no_letter(text: str) -> None:
    kept = [c for c in normalise(text).text if c.isalpha()]
    assert kept == [c for c in text if c.isalpha()]


@pytest.mark.parametrize(
    "unit", ["a", "é", "аa", " ", "\n", " \n", "a ", "a.", "a-", ".", "-", "\u200b", "a\u200b", "\0", "_", "1", "\xa0"]
)
def test_long_runs_take_one_pass(unit: str) -> None:
    normalise("é" + unit * (400_000 // len(unit)) + "!")
