"""Figures against values worked out by hand, and properties that hold for any scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.errors import DataError
from trainer.evaluation import metrics
from trainer.evaluation.metrics import FIGURES, figures, ham_cut, matthews, recall_at, summary

SPAM = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
SCORE = np.array([0.1, 0.2, 0.3, 0.4, 0.45, 0.7, 0.3, 0.6, 0.8, 0.9])

scored = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=2, max_size=60).filter(
    lambda pairs: len({label for label, _ in pairs}) == 2
)


def test_every_figure_as_worked_out_by_hand() -> None:
    found = figures(SPAM, SCORE, threshold=0.5, probability=SCORE)
    assert list(found) == list(FIGURES)
    assert [found[key] for key in ("ham", "spam", "tn", "fp", "fn", "tp")] == [6, 4, 5, 1, 1, 3]
    assert found["accuracy"] == 0.8
    assert found["precision"] == found["recall"] == found["f1"] == 0.75
    assert found["spam_caught_percent"] == 75
    assert found["blocked_ham_percent"] == pytest.approx(100 / 6)
    assert found["mcc"] == pytest.approx((3 * 5 - 1 * 1) / math.sqrt(4 * 4 * 6 * 6))
    # pairs won of 24: spam .3 beats two and ties one, .6 beats five, .8 and .9 beat six each
    assert found["roc_auc"] == pytest.approx((2.5 + 5 + 6 + 6) / 24)
    assert found["one_minus_roca_percent"] == pytest.approx(100 * (1 - 19.5 / 24))
    assert found["recall_at_0.1"] == found["recall_at_0.5"] == 0.5
    assert found["brier"] == pytest.approx(((SCORE - SPAM) ** 2).mean())


def test_calibration_error_as_worked_out_by_hand() -> None:
    spam, probability = np.array([0, 1, 1, 1]), np.array([0.05, 0.05, 0.95, 1.0])
    # two bins of fifteen hold two messages each: gaps |0.05 - 0.5| and |0.975 - 1|
    assert metrics.expected_calibration_error(spam, probability) == pytest.approx((0.45 + 0.025) / 2)
    assert metrics.expected_calibration_error(np.array([0, 1]), np.array([0.0, 1.0])) == 0.0


def test_equal_scores_at_a_cut_count_against_the_filter() -> None:
    spam, score = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 1.0, 1.0])
    assert recall_at(spam, score, 0.001) == 0.0
    assert ham_cut(spam, score, 0.5) == 0.0
    assert recall_at(spam, score, 0.5) == 1.0
    assert figures(spam, np.zeros(4))["roc_auc"] == 0.5


def test_infinite_scores_are_ranked() -> None:
    found = figures(np.array([0, 0, 1, 1]), np.array([-np.inf, 0.0, 1.0, np.inf]), threshold=0.5)
    assert found["roc_auc"] == found["accuracy"] == found["recall_at_0.1"] == 1.0


@pytest.mark.parametrize(
    ("label", "undefined"),
    [
        (0, {"recall", "spam_caught_percent", "roc_auc", "one_minus_roca_percent", "recall_at_0.1", "recall_at_0.5"}),
        (1, {"blocked_ham_percent", "roc_auc", "one_minus_roca_percent"}),
    ],
)
def test_one_class_alone_leaves_undefined_what_needs_the_other(label: int, undefined: set[str]) -> None:
    found = figures(np.full(3, label), np.array([0.1, 0.6, 0.9]), probability=np.array([0.1, 0.6, 0.9]))
    assert {key for key, value in found.items() if math.isnan(value)} == undefined
    assert found["mcc"] == 0.0
    assert FIGURES["roc_auc"].show(found["roc_auc"]) == "–"
    assert math.isnan(summary(np.full(3, label), np.zeros(3))["roc_auc"])


def test_all_ham_has_no_precision_but_is_measured() -> None:
    found = figures(SPAM, np.zeros(10))
    assert math.isnan(found["precision"]) and found["f1"] == 0.0 and found["accuracy"] == 0.6
    assert math.isnan(found["ece"]) and math.isnan(found["brier"])


@pytest.mark.parametrize(
    ("spam", "score", "says"),
    [
        ([], [], "empty"),
        ([0, 1], [0.1], "one of each"),
        ([0, 1, 1], [0.1, math.nan, math.nan], r"2 of 3 scores are NaN, the first in row 1"),
        ([0, 2], [0.1, 0.2], "label .*2.* in row 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(spam: list[int], score: list[float], says: str) -> None:
    with pytest.raises(DataError, match=says):
        figures(np.array(spam), np.array(score))
    with pytest.raises(DataError, match=says):
        summary(np.array(spam), np.array(score))


def test_probabilities_lie_between_0_and_1() -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        figures(SPAM, SCORE, probability=SCORE * 2)
    with pytest.raises(DataError, match="probabilities are NaN"):
        figures(SPAM, SCORE, probability=np.full(10, math.nan))


def test_shares_are_shown_as_percent() -> None:
    assert FIGURES["accuracy"].show(0.98765) == "98.77"
    assert FIGURES["blocked_ham_percent"].show(0.4126) == "0.413"


@settings(deadline=None)
@given(scored, st.floats(0, 1), st.floats(0, 1))
def test_more_ham_lost_never_catches_less_spam(pairs: list[tuple[int, int]], one: float, other: float) -> None:
    spam, score = np.array(pairs).T
    low, high = sorted((one, other))
    assert recall_at(spam, score, low) <= recall_at(spam, score, high)
    assert (score[spam == 0] > ham_cut(spam, score, low)).mean() <= low + 1e-9


@settings(deadline=None)
@given(*[st.integers(0, 1000)] * 4)
def test_correlation_does_not_care_which_class_is_called_positive(tn: int, fp: int, fn: int, tp: int) -> None:
    found = matthews(tn, fp, fn, tp)
    assert -1 - 1e-9 <= found <= 1 + 1e-9
    assert found == pytest.approx(matthews(tp, fn, fp, tn))
    assert found == pytest.approx(-matthews(fp, tn, tp, fn))


@settings(max_examples=50, deadline=None)
@given(scored)
def test_figures_depend_on_the_order_of_scores_alone(pairs: list[tuple[int, int]]) -> None:
    spam, score = np.array(pairs).T
    found = figures(spam, score, threshold=6)
    stretched = figures(spam, np.exp(score / 3.0), threshold=float(np.exp(2.0)) - 1e-9)
    assert found == pytest.approx(stretched, nan_ok=True)
    flipped = figures(1 - spam, -score)
    assert flipped["roc_auc"] == pytest.approx(found["roc_auc"])
    assert found["recall_at_0.1"] <= found["recall_at_0.5"]
