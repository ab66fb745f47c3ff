"""Baselines learn what can be learnt from words, each by its own contract."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from trainer.errors import DataError
from trainer.evaluation.baselines import BASELINES, AllHam, probabilities, texts_of
from trainer.evaluation.metrics import figures

LEARNING = [name for name in BASELINES if name != "all ham"]
TEXTS = [
    text
    for n in range(30)
    for text in (f"minutes of the meeting {n}, see you on monday", f"win a free prize {n} now, click here")
]
SPAM = np.tile([0, 1], 30)


@pytest.mark.parametrize("name", LEARNING)
def test_a_baseline_tells_what_differs_in_words(name: str) -> None:
    baseline = BASELINES[name]()
    baseline.fit(TEXTS[:40], SPAM[:40])
    score = baseline.score(TEXTS[40:])
    assert score.shape == (20,) and score.dtype == float
    found = figures(SPAM[40:], score, threshold=baseline.threshold, probability=probabilities(baseline, score))
    assert found["roc_auc"] == 1.0 and found["accuracy"] == 1.0


@pytest.mark.parametrize("name", LEARNING)
def test_a_score_does_not_depend_on_its_neighbours_or_on_the_day(name: str) -> None:
    one, other = BASELINES[name](), BASELINES[name]()
    one.fit(TEXTS, SPAM)
    other.fit(TEXTS, SPAM)
    texts = ["a free meeting", "", "prize prize prize on monday"]
    alone = np.concatenate([one.score([text]) for text in texts])
    np.testing.assert_allclose(one.score(texts), alone, atol=1e-6)
    np.testing.assert_allclose(one.score(texts), other.score(texts))


@pytest.mark.parametrize("name", LEARNING)
def test_a_baseline_needs_both_classes(name: str) -> None:
    with pytest.raises(DataError, match="ham and spam"):
        BASELINES[name]().fit(TEXTS, np.zeros(60, int))


def test_all_ham_calls_nothing_spam() -> None:
    baseline = AllHam()
    baseline.fit([], np.array([]))
    assert not (baseline.score(TEXTS) >= baseline.threshold).any()


def test_only_calibrated_scores_have_probabilities() -> None:
    naive = BASELINES["naive Bayes, words"]()
    np.testing.assert_allclose(probabilities(naive, np.array([-1000.0, 0.0, 1000.0])), [0, 0.5, 1])
    assert probabilities(AllHam(), np.zeros(2)) is None


def test_a_text_is_the_rendering_with_its_tail() -> None:
    table = pd.DataFrame(
        [("subject: hi", "head", "tail"), ("", "alone", "")], columns=["preamble", "text", "tail"]
    )  # fmt: skip
    assert texts_of(table) == ["subject: hi\nhead\ntail", "alone"]
