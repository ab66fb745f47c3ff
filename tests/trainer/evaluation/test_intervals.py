"""Bootstrap intervals: the fast sums give what the plain definitions give, and a seed gives the same again."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.errors import DataError
from trainer.evaluation.intervals import draws, intervals, resampled
from trainer.evaluation.metrics import figures


def _set(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    spam = (rng.random(count) < 0.3).astype(int)
    return spam, np.clip(rng.normal(0.35 + 0.3 * spam, 0.15), 0, 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 300), st.integers(1, 20))
def test_a_resample_has_the_figures_of_the_messages_drawn(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    spam = rng.integers(0, 2, count)
    score = np.sort(rng.integers(0, levels + 1, count) / levels)
    drawn = draws(spam, 3, rng)
    fast = resampled(spam, score, drawn, 0.5, score)
    for row in range(3):
        repeated = np.repeat(np.arange(count), drawn[row].astype(int))
        assert len(repeated) == count and spam[repeated].sum() == spam.sum()
        plain = figures(spam[repeated], score[repeated], probability=score[repeated])
        for name, values in fast.items():
            assert values[row] == pytest.approx(plain[name], nan_ok=True, abs=1e-9), name


def test_the_figure_lies_in_its_interval_and_a_seed_gives_the_same_again() -> None:
    spam, score = _set(400)
    found = intervals(spam, score, probability=score)
    for name, (low, high) in found.items():
        assert low <= high, name
        if name != "ece":  # resampling adds to every gap, so its interval lies above it
            assert low <= figures(spam, score, probability=score)[name] <= high, name
    assert intervals(spam, score, probability=score) == found
    assert intervals(spam, score, probability=score, seed=7) != found
    assert set(found) == set(figures(spam, score)) - {"ham", "spam", "tn", "fp", "fn", "tp"}


def test_more_messages_make_narrower_intervals() -> None:
    widths = [np.subtract(*intervals(*_set(count))["roc_auc"][::-1]) for count in (100, 4000)]
    assert widths[1] < widths[0] / 3


def test_a_known_interval() -> None:
    # 95 % of binomial(300, 0.5) lie within 150 +- 17
    spam = np.ones(300, int)
    low, high = intervals(spam, np.repeat([0.0, 1.0], 150), resamples=4000)["recall"]
    assert low == pytest.approx(0.443, abs=0.01) and high == pytest.approx(0.557, abs=0.01)


def test_one_class_alone_has_no_interval_where_it_has_no_figure() -> None:
    found = intervals(np.zeros(5, int), np.linspace(0, 1, 5))
    assert all(math.isnan(end) for end in found["roc_auc"] + found["recall"])
    assert not math.isnan(found["accuracy"][0])


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        intervals(np.array([]), np.array([]))
    with pytest.raises(DataError, match="NaN"):
        intervals(np.array([0, 1]), np.array([0.0, math.nan]))


def test_a_thousand_resamples_of_the_test_part_take_seconds_at_most() -> None:
    started = time.process_time()
    intervals(*_set(1209), probability=_set(1209)[1])
    assert time.process_time() - started < 5
