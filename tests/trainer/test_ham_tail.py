"""Where the tail of ham ends: few messages, many, and some that are no ham."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.ham_tail import cut


def ham(count: int, seed: int = 0) -> np.ndarray:
    """Logits with an exponential tail."""
    return np.random.default_rng(seed).exponential(2.0, count) - 5


def test_the_share_is_held_and_the_cut_is_steadier_than_the_highest_score() -> None:
    drawn = [ham(300, seed) for seed in range(200)]
    cuts = np.array([cut(scores, np.ones(300), 0.005) for scores in drawn])
    highest = np.array([scores.max() for scores in drawn])
    lost = np.exp(-(cuts + 5) / 2)
    assert lost.mean() == pytest.approx(0.005, rel=0.2)
    assert cuts.std() < 0.8 * highest.std() and cuts.mean() < highest.mean()


def test_every_false_positive_raises_it_and_none_without_end() -> None:
    clean, cuts = ham(300), []
    for wrong in (0, 1, 3, 6):
        cuts.append(cut(np.r_[clean, np.full(wrong, 30.0)], np.ones(300 + wrong), 0.005))
    assert cuts == sorted(cuts) and cuts[0] < cuts[1] < cuts[2] < 30


def test_what_is_likely_no_ham_hardly_counts() -> None:
    clean = ham(300)
    mixed = np.r_[clean, np.full(15, 12.0)]
    doubted = cut(mixed, np.r_[np.ones(300), np.full(15, 0.02)], 0.005)
    assert cut(clean, np.ones(300), 0.005) < doubted < cut(mixed, np.ones(315), 0.005)
    assert cut(mixed, np.r_[np.ones(300), np.zeros(15)], 0.005) == pytest.approx(cut(clean, np.ones(300), 0.005))


def test_of_little_ham_nearly_the_highest_is_the_end() -> None:
    assert 1.9 < cut(np.array([1.0, -3.0, 2.0]), np.ones(3), 0.005) <= 2.0
    assert cut(np.array([2.0]), np.ones(1), 0.005) == 2.0
    assert cut(np.zeros(0), np.zeros(0), 0.005) == cut(np.ones(2), np.zeros(2), 0.005) == -np.inf


def test_a_smaller_budget_never_ends_lower() -> None:
    cuts = [cut(ham(300), np.ones(300), rate) for rate in (0.1, 0.05, 0.02, 0.01, 0.005, 0.001)]
    assert cuts == sorted(cuts)
