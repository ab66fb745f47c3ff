"""Near-duplicates: a campaign is one group, strangers are not, and the order of texts is nothing."""

from __future__ import annotations

import random
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.duplicates import SHORT, Union, near_duplicate_groups, numbered

TEMPLATE = (
    "dear {name}, your account number {number} has been chosen for a prize of {amount} pounds in our great spring draw "
    "to claim it call {phone} before friday and tell the friendly lady at the desk the secret word that you find below "
    "this message. we wish you and all your family a wonderful week and look forward to hearing from you very soon"
)
NAMES = st.text(string.ascii_lowercase, min_size=2, max_size=12)


def partition(groups: np.ndarray) -> set[frozenset[int]]:
    """Which texts are together."""
    return {frozenset(np.flatnonzero(groups == group).tolist()) for group in set(groups.tolist())}


def sentence(seed: int, words: int = 40) -> str:
    """Text that shares nothing with that of another seed, but for chance."""
    dice = random.Random(seed)
    return " ".join("".join(dice.choices(string.ascii_lowercase, k=dice.randint(2, 9))) for _ in range(words))


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**9), st.integers(1, 10**6)), min_size=2, max_size=8))
@settings(deadline=None, max_examples=50)
def test_a_campaign_with_varied_names_and_numbers_is_one_group(filled: list[tuple[str, int, int]]) -> None:
    campaign = [
        TEMPLATE.format(name=name, number=number, amount=amount, phone=f"0{number:09}")
        for name, number, amount in filled
    ]
    strangers = [sentence(1), sentence(2)]
    groups = near_duplicate_groups([*campaign, *strangers])
    assert len(set(groups[:-2].tolist())) == 1
    assert len(set(groups.tolist())) == 3


@given(st.integers(0, 10**6), st.data())
@settings(deadline=None, max_examples=50)
def test_small_edits_do_not_part_a_text(seed: int, data: st.DataObject) -> None:
    words = sentence(seed).split()
    edited = words.copy()
    for _ in range(2):
        at = data.draw(st.integers(0, len(edited) - 1))
        edited[at : at + 1] = data.draw(st.sampled_from([[], ["word"], [edited[at], "word"]]))
    assert len(set(near_duplicate_groups([" ".join(words), " ".join(edited)]).tolist())) == 1


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=12, unique=True), st.integers(3, 80))
@settings(deadline=None, max_examples=50)
def test_unrelated_texts_are_apart(seeds: list[int], words: int) -> None:
    texts = [sentence(seed, words) for seed in seeds]
    assert near_duplicate_groups(texts).tolist() == list(range(len(texts)))


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_the_order_of_texts_does_not_matter(dice: random.Random) -> None:
    texts = []
    for seed in range(12):
        words = sentence(seed, dice.choice([3, 8, 20, 60])).split()
        for _ in range(dice.randint(1, 4)):
            texts.append(" ".join(word for word in words if dice.random() > 0.1))
    order = list(range(len(texts)))
    dice.shuffle(order)
    straight = partition(near_duplicate_groups(texts))
    shuffled = partition(near_duplicate_groups([texts[i] for i in order]))
    assert straight == {frozenset(order[i] for i in group) for group in shuffled}


@pytest.mark.parametrize(
    ("left", "right", "together"),
    [
        ("ok see you at nine", "OK, see you at... nine 2!", True),
        ("ok see you at nine", "ok see you at ten", False),
        ("", "", True),
        ("", "call me", False),
        ("645", "1", False),
        ("645", "645", True),
        ("WINNER!! code 83355 to claim £900 now", "winner code 1 to claim 50 now", True),
        ("ok lar joking wif u oni", "ok lar joking wif u la", False),
    ],
)
def test_short_texts_are_together_only_when_equal_after_folding(left: str, right: str, together: bool) -> None:
    groups = near_duplicate_groups([left, right])
    assert bool(groups[0] == groups[1]) is together


def test_a_common_signature_does_not_join_two_mails() -> None:
    footer = sentence(99, 12)
    groups = near_duplicate_groups([f"{sentence(seed, 30)} {footer}" for seed in range(6)])
    assert len(set(groups.tolist())) == 6


def test_none_one_and_lone_surrogates() -> None:
    assert near_duplicate_groups([]).tolist() == []
    assert near_duplicate_groups(["one"]).tolist() == [0]
    assert near_duplicate_groups(["\ud800 x " * SHORT, "y"]).tolist() == [0, 1]


def test_a_crowd_of_one_campaign_stays_together() -> None:
    texts = [TEMPLATE.format(name=f"name{chr(97 + i % 26)}x", number=i, amount=i, phone=i) for i in range(200)]
    texts = [f"{text} {sentence(i, 3)}" for i, text in enumerate(texts)]
    assert len(set(near_duplicate_groups(texts).tolist())) == 1


def test_groups_are_numbered_by_first_appearance() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_a_union_is_what_links_reach(links: list[tuple[int, int]]) -> None:
    union = Union(10)
    reached = [{i} for i in range(10)]
    for left, right in links:
        union.join(left, right)
        whole = reached[left] | reached[right]
        for i in whole:
            reached[i] = whole
    assert [union.root(i) for i in range(10)] == [min(reached[i]) for i in range(10)]
