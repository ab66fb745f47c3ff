"""The gate's checks on arrays: budget, side by side, and what a sample leaves open."""

from __future__ import annotations

import numpy as np
import pytest

from spamfilter.verdict import Thresholds
from trainer.checks import GOLDEN, RECENT, REPLAY, Checks, GateSettings, Paired, interval, most_likely

AT = Thresholds(0.5, 0.9)


def paired(name: str, ham: int, spam: int, *, lost_now: int = 0, lost_then: int = 0) -> Paired:
    """Different messages that both models know, but for the first of the ham."""
    labels = np.r_[np.zeros(ham, int), np.ones(spam, int)]
    now, then = (np.where(labels == 1, 0.99, 0.01) for _ in range(2))
    now[:lost_now], then[:lost_then] = 0.95, 0.95
    return Paired(name, labels, np.arange(ham + spam), now, then)


def found(golden: Paired, recent: Paired, rehearsed: Paired | None = None) -> Checks:
    """Both checks at the default settings."""
    checks = Checks(AT, AT, GateSettings())
    checks.ham_budget(golden, lambda: rehearsed)
    checks.recent(recent)
    return checks


def test_a_loss_within_the_budget_passes_and_what_is_left_open_is_told() -> None:
    checks = found(paired(GOLDEN, 250, 50, lost_then=1), paired(RECENT, 20, 20))
    assert not checks.reasons
    assert (
        "golden set: 0.40 % of 250 different ham lost, so of all such ham below 1.88 % (95 % confidence)"
        in checks.notes
    )
    assert len(checks.rows) == 6


def test_the_rehearsal_is_asked_only_where_the_golden_set_is_too_small() -> None:
    lossy = paired(REPLAY, 400, 100, lost_then=4)
    assert not found(paired(GOLDEN, 200, 50), paired(RECENT, 20, 20), lossy).reasons
    small = found(paired(GOLDEN, 199, 50), paired(RECENT, 20, 20), lossy)
    assert {reason.check for reason in small.reasons} == {REPLAY, f"{REPLAY}, side by side"}


def test_recent_ham_may_be_lost_as_far_as_it_was_before() -> None:
    golden = paired(GOLDEN, 250, 50)
    assert not found(golden, paired(RECENT, 50, 50, lost_now=5, lost_then=5)).reasons
    assert found(golden, paired(RECENT, 50, 50, lost_now=5, lost_then=6)).reasons


def test_an_interval_of_no_difference_is_nothing() -> None:
    assert interval(np.zeros(30)) == (0.0, 0.0)
    low, high = interval(np.r_[np.ones(15), -np.ones(15)])
    assert low < 0 < high


@pytest.mark.parametrize(("lost", "of", "share"), [(0, 270, 0.01103), (1, 270, 0.01745), (5, 5, 1.0)])
def test_how_much_a_sample_leaves_open(lost: int, of: int, share: float) -> None:
    assert most_likely(lost, of) == pytest.approx(share, abs=1e-4)


def test_parts_of_a_group_count_as_a_whole_message() -> None:
    assert most_likely(0.5, 270) == most_likely(1, 270)
