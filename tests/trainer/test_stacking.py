"""Calibration, thresholds, metrics: numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluation.metrics import expected_calibration_error, ham_cut, recall_at, summary
from trainer.linear import agreeing, fit_facts, source_weights
from trainer.stacking import combine, fit_mode, threshold_table


def test_recall_at_a_false_positive_rate() -> None:
    spam = np.array([0] * 1000 + [1] * 4)
    score = np.concatenate([np.arange(1000) / 1000, [0.9985, 0.9995, 0.5, 2.0]])
    assert ham_cut(spam, score, 0.001) == pytest.approx(0.998)  # one ham of a thousand may lie above
    assert recall_at(spam, score, 0.001) == 0.75
    assert summary(spam, score)["ham"] == 1000


def test_calibration_error_of_the_honest_and_of_the_boaster() -> None:
    spam = np.array([0, 1] * 500)
    assert expected_calibration_error(spam, np.full(1000, 0.5)) == 0.0
    assert expected_calibration_error(spam, np.full(1000, 0.99)) == pytest.approx(0.49)


def test_thresholds_keep_their_budget_and_leave_out_what_cannot_be_shown() -> None:
    probability = np.concatenate([np.linspace(0, 0.9, 500), np.linspace(0.5, 1, 100)])
    spam = np.array([0] * 500 + [1] * 100)
    table = threshold_table(probability, spam, (0.0005, 0.002, 0.01, 0.1))
    assert [entry["false_positive_rate"] for entry in table] == [0.002, 0.01, 0.1]
    for entry in table:
        assert (probability[spam == 0] >= entry["probability"]).mean() <= entry["false_positive_rate"]
        assert entry["recall"] == pytest.approx((probability[spam == 1] >= entry["probability"]).mean(), abs=1e-4)


def test_a_mode_is_calibrated_and_keeps_its_shares() -> None:
    rng = np.random.default_rng(0)
    spam = rng.integers(0, 2, 4000)
    scores = {"ngram": spam * 2 - 1 + rng.normal(size=4000), "gpt": (spam * 2 - 1 + rng.normal(size=4000)) * 5}
    mode = fit_mode({"ngram": 1.0, "gpt": 5.0}, {"ngram": 1.0, "gpt": 1.0}, scores, spam, np.ones(4000))
    assert mode["weights"]["ngram"] == pytest.approx(5 * mode["weights"]["gpt"])
    probability = 1 / (1 + np.exp(-combine(mode, scores)))
    assert expected_calibration_error(spam, probability) < 0.03


def test_sources_and_classes_weigh_by_the_root_of_their_size() -> None:
    sources = np.array(["big"] * 100 + ["small"] * 4)
    spam = np.array([0] * 90 + [1] * 10 + [0, 0, 1, 1])
    weights = source_weights(sources, spam)
    assert weights.mean() == pytest.approx(1)
    assert weights[:100].sum() / weights[100:].sum() == pytest.approx(5)  # sqrt(100 / 4)
    assert weights[:90].sum() == pytest.approx(weights[90:100].sum())


def test_unknown_facts_teach_nothing() -> None:
    from spamfilter.facts import NAMES

    matrix = np.full((40, len(NAMES)), np.nan, np.float32)
    matrix[:, 3] = [0, 1] * 20
    model = fit_facts(matrix, np.array([0, 1] * 20), np.ones(40))
    assert model.weights[3] > 0.1
    assert np.abs(np.delete(model.weights, 3)).max() < 1e-6


def test_a_fact_on_which_sources_contradict_each_other_is_left_out() -> None:
    spam = np.array([0, 1] * 100)
    sources = np.array(["a"] * 100 + ["b"] * 100)
    matrix = np.zeros((200, 3), np.float32)
    matrix[:, 0] = spam  # the same everywhere
    matrix[:, 1] = np.where(sources == "a", spam, 1 - spam)  # turned round in b
    matrix[:, 2] = np.where(sources == "a", spam, 0)  # unknown to b
    assert agreeing(matrix, spam, sources).tolist() == [True, False, True]
