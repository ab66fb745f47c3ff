"""Shares of the n-grams' score: they count what the model counts, and add up to what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier.ngram import DIMENSION, NgramModel, features
from spamfilter.classifier.ngram_shares import occurrences, shares

RANDOM = np.random.default_rng(5)
MODEL = NgramModel(
    RANDOM.normal(size=DIMENSION).astype(np.float32), RANDOM.uniform(1, 9, DIMENSION).astype(np.float32), -0.5
)
PREAMBLE = "from: ann lee @a.example\nsubject: buy now it's cheap\nlinks: a.example b.example\n"


@given(st.text(max_size=80), st.sampled_from(["", PREAMBLE, "subject: "]))
def test_they_count_what_the_model_counts(text: str, before: str) -> None:
    found = occurrences(before + text)
    ids, counts = features(before + text)
    distinct, number = np.unique(found.ids, return_counts=True)
    assert distinct.tolist() == ids.tolist()
    assert 1 + np.log(number) == pytest.approx(counts, abs=1e-5)
    size = len((before + text).encode("utf-8", "surrogatepass"))
    assert not len(found.ids) or (found.start.min() >= 0 and found.stop.max() <= size)
    assert (found.start < found.stop).all()


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ("", ""),
        ("a", ""),
        ("cheap pills", ""),
        (PREAMBLE + "本公司代开发票 \udcff caf\u00e9", ""),
        (PREAMBLE + "buy pills. " * 30, "the end"),
        ("good words, " * 300 + "pills " * 200, ""),
        ("good words, " * 500, "pills at the end " * 100),
        ("x" * 5_000, "y"),
        ("", "only a tail"),
    ],
)
def test_they_add_up_to_the_score(head: str, tail: str) -> None:
    of_head, of_tail = shares(MODEL, head, tail)
    assert (len(of_head), len(of_tail)) == (len(head), len(tail))
    assert of_head.sum() + of_tail.sum() == pytest.approx(MODEL.score(head, tail) - MODEL.bias, abs=1e-4)


def test_a_word_gets_what_its_features_weigh() -> None:
    weights = np.zeros(DIMENSION, np.float32)
    weights[features("pills")[0]] = 1.0
    model = NgramModel(weights, np.ones(DIMENSION, np.float32), 0.0)
    text = "we sell pills to you and yours"
    of_head, _ = shares(model, text)
    at = text.index("pills")
    assert of_head[at : at + 5].sum() > 0.8 * of_head.sum() > 0
