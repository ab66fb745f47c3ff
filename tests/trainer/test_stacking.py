"""Calibration, thresholds, shares: numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spamfilter.classifier.ensemble import counted
from spamfilter.facts import NAMES
from trainer.evaluation.metrics import expected_calibration_error
from trainer.linear import fit_facts, source_weights
from trainer.priors import prior_weights
from trainer.stacking import (
    SHARES,
    STAGES,
    Calibration,
    Unseen,
    evidence_sum,
    standard,
    threshold_table,
    units_of,
)


def _unseen(count: int = 4000, seed: int = 0) -> Unseen:
    rng = np.random.default_rng(seed)
    spam = rng.integers(0, 2, count)
    mail = rng.random(count) < 0.5
    scores = {stage: (spam * 2 - 1 + rng.normal(size=count)) * (3 if stage == "gpt" else 1) + 0.5 for stage in STAGES}
    source = np.where(mail, "mails", "texts")
    return Unseen("made", scores, spam, mail, source, units_of(scores, spam, mail))


def test_units_are_half_the_distance_of_the_classes_around_their_middle() -> None:
    found = _unseen()
    for mode in ("mail", "text"):
        centre, unit = found.units[mode]["ngram"]
        assert centre == pytest.approx(0.5, abs=0.1) and unit == pytest.approx(1, abs=0.1)
        assert found.units[mode]["gpt"][1] == pytest.approx(3, abs=0.3)


def test_a_kind_without_both_classes_takes_the_other_kinds_unit() -> None:
    found = _unseen()
    spam = np.where(found.mail, found.spam, 0)
    units = units_of(found.scores, spam, found.mail)
    assert units["text"]["ngram"][1] > 0.1


def test_bounded_evidence_saturates_and_linear_does_not() -> None:
    assert standard(np.array([100.0]), 0.0, 1.0, True)[0] == pytest.approx(1.0)
    assert standard(np.array([100.0]), 0.0, 2.0, False)[0] == 50.0
    how = {"weight": 2.0, "centre": 1.0, "unit": 3.0, "bounded": True}
    assert counted(how, 4.0) == pytest.approx(2 * np.tanh(1.0))  # what is served counts as what was fitted
    assert counted({**how, "bounded": False}, 4.0) == pytest.approx(2.0)


def test_the_manifests_weights_give_the_fitted_probability() -> None:
    found = _unseen()
    calibration = Calibration.fit([found])
    modes = calibration.weights(found.units)
    probability = calibration.probability(found)
    assert expected_calibration_error(found.spam, probability) < 0.04
    for row in (0, 1, 2, 3):
        mode = modes["mail" if found.mail[row] else "text"]
        logit = mode["bias"] + sum(counted(mode["stages"][s], float(found.scores[s][row])) for s in STAGES)
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(float(probability[row]), abs=1e-6)


def test_evidence_that_is_left_out_does_not_count() -> None:
    found = _unseen()
    without = {mode: {s: w for s, w in parts.items() if s != "gpt"} for mode, parts in SHARES.items()}
    changed = Unseen(
        found.name, {**found.scores, "gpt": found.scores["gpt"] * 0}, found.spam, found.mail, found.source, found.units
    )
    assert np.allclose(evidence_sum(found, without), evidence_sum(changed, without))
    assert not np.allclose(evidence_sum(found), evidence_sum(changed))


def test_thresholds_keep_their_budget_on_every_origin() -> None:
    easy = (np.concatenate([np.linspace(0, 0.5, 500), np.ones(50)]), np.array([0] * 500 + [1] * 50))
    hard = (np.concatenate([np.linspace(0, 0.9, 500), np.linspace(0.5, 1, 100)]), np.array([0] * 500 + [1] * 100))
    table = threshold_table([easy, hard], (0.0005, 0.002, 0.01, 0.1))
    assert [entry["false_positive_rate"] for entry in table] == [0.002, 0.01, 0.1]  # 0.0005 of 500 ham is none
    for entry in table:
        for probability, spam in (easy, hard):
            assert (probability[spam == 0] >= entry["probability"]).mean() <= entry["false_positive_rate"]


def test_an_origin_with_little_ham_does_not_speak_of_rates() -> None:
    little = (np.array([0.9] * 20 + [1.0]), np.array([0] * 20 + [1]))
    assert threshold_table([little], (0.1,)) == []


def test_sources_and_classes_weigh_by_the_root_of_their_size() -> None:
    sources = np.array(["big"] * 100 + ["small"] * 4)
    spam = np.array([0] * 90 + [1] * 10 + [0, 0, 1, 1])
    weights = source_weights(sources, spam)
    assert weights.mean() == pytest.approx(1)
    assert weights[:100].sum() / weights[100:].sum() == pytest.approx(5)  # sqrt(100 / 4)
    assert weights[:90].sum() == pytest.approx(weights[90:100].sum())


def test_facts_learn_around_what_is_known_and_keep_their_signs() -> None:
    prior = np.zeros(len(NAMES))
    prior[[3, 4]] = [1.0, -1.0]
    matrix = np.full((400, len(NAMES)), np.nan, np.float32)
    spam = np.array([0, 1] * 200)
    matrix[:, 3] = spam  # agrees with what is known
    matrix[:, 4] = spam  # contradicts it
    matrix[:, 5] = spam  # nothing is known of it
    strict = fit_facts(matrix, spam, np.ones(400), prior=prior, pull=1e6)
    loose = fit_facts(matrix, spam, np.ones(400), prior=prior, pull=1.0)
    assert strict.weights[[3, 4]] == pytest.approx([1.0, -1.0], abs=0.01)
    assert loose.weights[3] > 1.0 and -1.0 < loose.weights[4] <= 0.0
    assert strict.weights[5] == loose.weights[5] == 0.0
    assert np.abs(np.delete(loose.weights, [3, 4])).max() == 0.0


def test_without_any_message_the_facts_are_what_is_known() -> None:
    model = fit_facts(np.zeros((0, len(NAMES)), np.float32), np.zeros(0, int), np.zeros(0))
    assert model.weights == pytest.approx(prior_weights().astype(np.float32))


def test_what_is_known_speaks_of_most_facts_and_each_once() -> None:
    weights = prior_weights()
    assert (weights != 0).mean() > 0.7
    assert weights[NAMES.index("link_userinfo")] > 0 > weights[NAMES.index("subject_reply_with_reference")]
