"""Hashed n-grams: stable ids, unit length, the same score before and after the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import (
    CHAR_BITS,
    DIMENSION,
    HEAD_CHARACTERS,
    PASSAGE_CHARACTERS,
    WORD_BITS,
    NgramModel,
    features,
    passages,
    weigh,
    whole,
)
from spamfilter.facts import NAMES


@given(st.text(max_size=2000))
def test_features_are_sorted_unique_and_in_range(text: str) -> None:
    ids, counts = features(text)
    assert ids.dtype == np.int32 and counts.dtype == np.float32
    assert (np.diff(ids) > 0).all()
    assert len(ids) == 0 or (ids[0] >= 0 and ids[-1] < DIMENSION)
    assert (counts >= 1).all()


def test_ids_never_change() -> None:
    """A bundle's weights stand at these places: other ids would silently make it another model."""
    ids, _ = features("win cash")
    words = ids[ids < 1 << WORD_BITS].tolist()
    assert len(words) == 4  # two words, two pairs with what came before
    assert int(ids.sum()) == IDS_SUM
    assert DIMENSION == (1 << WORD_BITS) + (1 << CHAR_BITS)


IDS_SUM = 12831865


def test_words_of_the_subject_also_count_as_such() -> None:
    subject = set(features("subject: prize\nhello")[0].tolist())
    body = set(features("hello prize")[0].tolist())
    assert len({i for i in subject - body if i < 1 << WORD_BITS}) > 0


def test_both_parts_have_unit_length() -> None:
    ids, counts = features("some words of a mail, some more")
    values = weigh(ids, counts.copy(), np.ones(DIMENSION, np.float32))
    cut = np.searchsorted(ids, 1 << WORD_BITS)
    assert np.linalg.norm(values[:cut]) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(values[cut:]) == pytest.approx(1, abs=1e-5)


@given(st.text("ab \n", max_size=6000), st.text("c ", max_size=1500))
def test_passages_are_the_text_in_bounded_pieces(head: str, tail: str) -> None:
    found = passages(head, tail)
    assert len(found) != 1
    assert all(len(text) <= PASSAGE_CHARACTERS * 5 // 4 for text in found)
    if found:
        assert "".join(found).startswith(head[:HEAD_CHARACTERS])
        assert not tail or found[-1] == tail[-PASSAGE_CHARACTERS:]


def test_good_words_around_a_spam_do_not_dilute_it_away() -> None:
    weights = np.zeros(DIMENSION, np.float32)
    spam, ham = features("prize")[0], features("lunch")[0]
    weights[spam], weights[ham] = 1.0, -1.0
    model = NgramModel(weights, np.ones(DIMENSION, np.float32), 0.0)
    bad, good = "prize " * 60, "lunch " * 200
    score, worst = model.judge(f"{good}{bad}{good}")
    assert "prize" in worst and score > model.score_text(whole(f"{good}{bad}{good}"))
    assert model.judge("prize") == (model.score_text("prize"), "")
    assert model.judge(bad + good * 2)[1] == ""  # the first passage is read anyway


def test_the_model_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=DIMENSION).astype(np.float16).astype(np.float32)
    model = NgramModel(half, np.ones(DIMENSION, np.float32), 0.25)
    model.save(tmp_path / "n.npz")
    assert NgramModel.load(tmp_path / "n.npz").score("hello", "end") == pytest.approx(model.score("hello", "end"))


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "n.npz", weights=np.zeros(5), idf=np.zeros(5), bias=np.float64(0))
    with pytest.raises(ValueError, match="expected arrays"):
        NgramModel.load(tmp_path / "n.npz")


def test_facts_add_their_weights_and_unknown_ones_nothing(tmp_path: Path) -> None:
    model = FactsModel(np.arange(len(NAMES), dtype=np.float32), 0.5)
    assert model.score({}) == 0.5
    assert model.score({NAMES[3]: True, NAMES[7]: True, NAMES[9]: False}) == 10.5
    model.save(tmp_path / "f.npz")
    assert FactsModel.load(tmp_path / "f.npz").score({NAMES[2]: True}) == 2.5


def test_facts_of_another_version_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "f.npz", weights=np.zeros(1), bias=np.float64(0), names=np.array(["old"]))
    with pytest.raises(ValueError, match="not those"):
        FactsModel.load(tmp_path / "f.npz")
