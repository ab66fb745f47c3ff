"""Clues spare searches and change no answer; lower case is the case that `re.I` compares."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.facts import header, structure, text
from spamfilter.facts.clues import Clued, clued, lowered

PATTERNS = {
    f"{module.__name__.rpartition('.')[2]}.{name}.{number}": pattern
    for module in (text, header, structure)
    for name, value in vars(module).items()
    for number, pattern in enumerate(value if isinstance(value, tuple) else (value,))
    if isinstance(pattern, Clued)
}
BEGUN = {"text.MONEY.0", "text._UNSUBSCRIBE.0", "text._CLICK.0", "text._URGENT.0", "text._ATTRIBUTION.0"}
PIECES = sorted({clue for pattern in PATTERNS.values() for clue in pattern.clues})
BETWEEN = [
    "",
    " ",
    "\n",
    ":",
    "1",
    "$",
    "-",
    "--",
    "a",
    "é",
    ";",
    ">",
    "(",
    ")",
    "s",
    "d",
    "here",
    "your",
    "from",
    " in",
]


@given(st.lists(st.sampled_from([*PIECES, *BETWEEN, *BETWEEN])).map("".join))
def test_a_pattern_without_its_clues_finds_the_same(read: str) -> None:
    for name, pattern in PATTERNS.items():
        matches = len(pattern.pattern.findall(read))
        assert pattern.found(read) is (matches > 0), name
        assert pattern.count(read, 2) in (matches, 0 if matches < 2 else matches), name
        if name in BEGUN:
            assert pattern.begun(read) is (matches > 0), name


def test_the_patterns_were_found() -> None:
    assert set(PATTERNS) > BEGUN and len(PATTERNS) > 12


def test_begun_tries_every_place_of_a_clue() -> None:
    pattern = clued(r"opt[ -]?out", "opt")
    assert pattern.begun("adopt the option: opt-out") and not pattern.begun("adopt the option")


def test_count_asks_for_enough_clues() -> None:
    pattern = clued(r"\blog ?in\b", "log")
    assert pattern.count("log in, login, logs", 3) == 2
    assert pattern.count("log in, login", 3) == 0


def test_lower_case_is_that_of_patterns() -> None:
    """Of every character: one for one, of the same classes, and a letter of ASCII where `re.I` takes it for one."""
    letter, classes = re.compile("[a-z]", re.I), [re.compile(kind) for kind in (r"\w", r"\s", r"\d")]
    same = {small: re.compile(small, re.I) for small in f"{string.ascii_lowercase}é"}
    for character in map(chr, range(0x110000)):
        low = lowered(character)
        if low == character and not low.isascii():
            assert not letter.match(character), ascii(character)
            continue
        assert len(low) == 1, ascii(character)
        assert all(bool(kind.match(character)) is bool(kind.match(low)) for kind in classes), ascii(character)
        assert bool(letter.match(character)) is (low in string.ascii_lowercase), ascii(character)
        assert low not in same or same[low].match(character), ascii(character)


@pytest.mark.parametrize("read", ["İstanbul ıſK", "ΑΣ ΟΔΟΣ", "ŞİŞLİ"])
def test_lower_case_keeps_places(read: str) -> None:
    assert len(lowered(read)) == len(read)
