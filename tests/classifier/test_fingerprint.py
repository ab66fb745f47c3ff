"""Fingerprints know a text again in other words, and cost little."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier.fingerprint import (
    HOSTS,
    PLACES,
    SUBJECT,
    TEXT_PLACES,
    Fingerprint,
    fingerprint,
    similarities,
    similarity,
)

LETTER = (
    "dear customer your parcel could not be delivered because a fee is open please pay the small amount of money "
    "within two days or the parcel goes back to the sender kind regards the team of your friendly parcel service"
)
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrs"]


def _exact(one: list[str], other: list[str]) -> float:
    first, second = set(pairwise(one)), set(pairwise(other))
    return len(first & second) / len(first | second)


def test_a_fingerprint_is_a_few_numbers_and_always_the_same() -> None:
    one = fingerprint(LETTER)
    assert one.shape == (PLACES,) and one.dtype == np.uint32
    assert one.tolist() == fingerprint(LETTER).tolist()
    assert one[2:6].tolist() == [3648357063, 2822556739, 0, 1589782141]  # the same in every process and version


@pytest.mark.parametrize("words", [20, 60, 400])
def test_it_estimates_the_share_of_common_pairs(words: int) -> None:
    random_ = random.Random(words)
    errors = []
    for changed in range(0, words, max(1, words // 20)):
        one = [random_.choice(WORDS) for _ in range(words)]
        other = one[:changed] + [random_.choice(WORDS) for _ in range(words - changed)]
        found = similarity(fingerprint(" ".join(one)), fingerprint(" ".join(other)))
        errors.append(found - _exact(one, other))
    assert abs(float(np.mean(errors))) < 0.04
    assert max(map(abs, errors)) < 0.25


@pytest.mark.parametrize(
    "again",
    [
        LETTER.upper(),
        LETTER.replace("fee", "fee, 12.99,"),
        "4711 " + LETTER + "\n-- 0815 --",
        "from: parcel service @example.biz\nsubject: your parcel 12\nflags: html only\n" + LETTER,
    ],
)
def test_case_numbers_signs_and_the_preamble_part_no_texts(again: str) -> None:
    assert similarity(fingerprint(LETTER), fingerprint(again)) == 1.0


def test_letters_and_their_order_do() -> None:
    words = LETTER.split()
    assert similarity(fingerprint(LETTER), fingerprint(" ".join(words[::-1]))) < 0.1
    assert similarity(fingerprint(LETTER), fingerprint(" ".join(word + "x" for word in words))) == 0.0
    assert similarity(fingerprint("ab " * 9), fingerprint("ba " * 9)) == 0.0
    assert similarity(fingerprint("äö " * 9), fingerprint("öä " * 9)) == 0.0


def test_the_end_of_a_long_text_counts() -> None:
    assert similarity(fingerprint(LETTER, "and here is quite another end of it"), fingerprint(LETTER)) < 1.0
    assert similarity(fingerprint(LETTER, LETTER), fingerprint(f"{LETTER}\n{LETTER}")) == 1.0


def test_short_texts_are_equal_or_different_and_the_subject_counts() -> None:
    short = fingerprint("subject: lunch\nsee you at noon")
    assert similarity(short, fingerprint("from: a @b.org\nsubject: lunch\nsee you at NOON!")) == 1.0
    assert similarity(short, fingerprint("subject: dinner\nsee you at noon")) == 0.0
    assert similarity(short, fingerprint("subject: lunch\nsee you at one")) == 0.0
    assert similarity(fingerprint("645"), fingerprint("1")) == 0.0
    assert similarity(fingerprint("645"), fingerprint(" 645\n")) == 1.0
    assert similarity(fingerprint("at noon see you"), fingerprint("see you at noon")) == 0.0


def test_nothing_is_like_nothing() -> None:
    empty = fingerprint("")
    assert not empty.any()
    assert similarity(empty, empty) == 0.0
    assert similarity(empty, fingerprint(LETTER)) == 0.0


def test_text_without_blanks_is_read_sign_by_sign() -> None:
    text = "尊敬的客户您的包裹无法投递请在两天内支付少量费用否则包裹将退回寄件人"
    assert similarity(fingerprint(text), fingerprint("您好" + text)) > 0.8
    assert similarity(fingerprint(text), fingerprint(text[::-1])) < 0.2


def _same_hosts(one: Fingerprint, other: Fingerprint) -> bool:
    return bool(one[HOSTS] == other[HOSTS])


def test_the_subject_has_a_place_of_its_own() -> None:
    one, other = (fingerprint(f"subject: {subject}\n{LETTER}") for subject in ("your order 17", "YOUR order 18"))
    assert one[SUBJECT] == other[SUBJECT] != 0
    assert fingerprint(f"subject: my order\n{LETTER}")[SUBJECT] != one[SUBJECT]
    assert fingerprint(LETTER)[SUBJECT] == 0


def test_link_hosts_have_a_place_of_their_own() -> None:
    one = fingerprint(f"subject: a\nlinks: a.org b.org\n{LETTER}")
    assert _same_hosts(one, fingerprint(f"subject: b\nlinks: b.org a.org\n{LETTER}"))
    assert not _same_hosts(one, fingerprint(f"links: a.org c.org\n{LETTER}"))
    assert not _same_hosts(one, fingerprint(LETTER))
    assert _same_hosts(fingerprint("see http://a.org now"), fingerprint("links: a.org\nnow"))  # bare text shows its own
    assert similarity(one, fingerprint(LETTER)) == 1.0


@given(st.text(max_size=300), st.text(max_size=100))
def test_any_text_has_one_and_is_like_itself(head: str, tail: str) -> None:
    found = fingerprint(head, tail)
    assert similarity(found, found) == (1.0 if found[:TEXT_PLACES].any() else 0.0)


@pytest.mark.parametrize("size", [16_383, 16_384, 16_385, 300_000])
@pytest.mark.parametrize("letter", ["a", "é ", "字"])
def test_long_texts_are_cut(letter: str, size: int) -> None:
    assert fingerprint(letter * size).any()


def test_many_at_once_are_as_one_by_one() -> None:
    texts = [LETTER, LETTER[:100], "short one", ""]
    many = np.array([fingerprint(text) for text in texts])
    one = fingerprint(LETTER[:150])
    assert similarities(many, one).tolist() == [similarity(each, one) for each in many]
