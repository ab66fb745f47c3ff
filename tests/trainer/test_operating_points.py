"""Where a candidate's thresholds lie: the budgets hold on the ham that people corrected, too."""

from __future__ import annotations

import numpy as np

from tests.trainer import site
from trainer.operating_points import operating_points, raise_for
from trainer.trust import Belief


def probabilities(table: list[dict[str, float]]) -> list[float]:
    """The table's column, the largest budget first."""
    return [row["probability"] for row in sorted(table, key=lambda row: -row["false_positive_rate"])]


def test_ham_raises_thresholds_and_a_smaller_budget_is_never_lower() -> None:
    table = [{"false_positive_rate": rate, "probability": 0.5} for rate in (0.001, 0.01, 0.1)]
    ham = np.linspace(-9.0, 3.0, 300)
    raise_for(table, ham, np.ones(300))
    found = probabilities(table)
    assert found == sorted(found) and (0.5 * (1 + np.tanh(ham / 2)) >= found[0]).sum() == 30
    assert found[-1] > 0.9
    high = [{"false_positive_rate": 0.1, "probability": 0.95}]
    raise_for(high, ham, np.ones(300))
    assert high[0]["probability"] == 0.95


def test_ham_that_is_likely_no_ham_holds_no_threshold_up() -> None:
    now, mine = site.current(), site.corrections(40)
    unseen = np.zeros((40, 3))
    unseen[0] = 2.0  # the first is ham

    def found(right: float) -> float:
        belief = Belief(np.r_[right, np.ones(39)], {"ann": (0.3, 0.0)})
        rows, _ = operating_points(now.thresholds, now.ensemble, mine, unseen, None, belief=belief, bands=False)
        return rows[0]["probability"]

    assert mine.spam[0] == 0
    assert found(1.0) > found(0.2) > found(0.0) == 0.9


def test_no_threshold_lies_above_one() -> None:
    table = [{"false_positive_rate": 0.005, "probability": 0.5}]
    raise_for(table, np.array([50.0]), np.ones(1))
    assert table[0]["probability"] == 1.0
    untouched = [{"false_positive_rate": 0.005, "probability": 0.5}]
    raise_for(untouched, np.zeros(0), np.zeros(0))
    assert untouched[0]["probability"] == 0.5
