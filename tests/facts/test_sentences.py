"""Every fact has its sentence: one that ends, and that no other fact has."""

from __future__ import annotations

from spamfilter.facts import NAMES
from spamfilter.facts.sentences import SENTENCES


def test_each_fact_has_a_sentence_of_its_own() -> None:
    assert set(SENTENCES) == set(NAMES)
    assert len(set(SENTENCES.values())) == len(NAMES)
    for sentence in SENTENCES.values():
        assert sentence[0].isupper() and sentence.endswith(".") and sentence.isascii()
