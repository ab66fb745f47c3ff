"""`compare poison`: what is turned around, and that the gate's own checks judge what comes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.trainer import site
from trainer.experiments.feedback import World
from trainer.experiments.poison import PEOPLE, POISONS, Poison, Trial, drawn, probabilities, reasons, tried
from trainer.recipes.retrain import Retrain


@pytest.fixture(scope="module")
def world() -> World:
    raws, spam = site.mails(500, 3)
    groups = [f"{row:08x}{row % 7:02x}" for row in range(500)]
    table = pd.DataFrame({"source": "site", "spam": spam, "group": groups})
    now = site.current()
    return World("site", table, site.inputs(raws, spam, 3), now, site.replay(), now.stages, lambda: [])


@pytest.mark.parametrize("poison", POISONS.values(), ids=list(POISONS))
def test_as_many_are_turned_as_it_says(poison: Poison) -> None:
    who = np.array(poison.people)[np.arange(500) % len(poison.people)]
    wrong = poison.wrong(who, np.random.default_rng(0))
    assert wrong.sum() == round(poison.share * 500)
    assert not poison.one_person or set(who[wrong]) <= {PEOPLE[-1]}


def test_the_gates_checks_refuse_lost_ham_and_less_caught_spam(world: World) -> None:
    right = np.arange(500)
    low = replace(world.current, thresholds=[{"false_positive_rate": 0.005, "probability": 1e-9}])
    high = replace(world.current, thresholds=[{"false_positive_rate": 0.005, "probability": 1.0}])
    assert reasons(world, world.current, world.current, right, right, world.spam) == []
    lost = reasons(world, world.current, low, right, right, world.spam)
    assert {"golden set, failed", "golden set, side by side, failed"} <= set(lost)
    clear = float(probabilities(world, world.current, right)[world.spam == 0].max()) + 1e-6
    even = replace(world.current, thresholds=[{"false_positive_rate": 0.005, "probability": clear}])
    assert "recent mail, held out, side by side, failed" in reasons(world, even, high, right, right, world.spam)
    assert (
        reasons(world, world.current, world.current, right, right[:0], world.spam[:0], 500)
        == ["recent mail, held out, too few"] * 2
    )


def test_a_draw_says_what_was_doubted_and_why_it_is_refused(world: World) -> None:
    settings = Retrain(bands=False)
    found = tried(world, drawn(world, PEOPLE, 0, settings), Poison(0.2, one_person=True), settings)
    assert found.wrong_doubted > 0.5 > found.right_doubted
    assert "golden set, too few" in found.reasons  # nobody is left for one
    lost, low, high = found.ham_lost
    assert low <= lost <= high and high > 0


def test_the_interval_of_a_loss_is_that_of_its_ham() -> None:
    lost, low, high = Trial({"fp": 6, "ham": 1200, "blocked_ham_percent": 0.5}, 0.0, 0.0, ()).ham_lost
    assert lost == 0.5 and low == pytest.approx(0.184, abs=1e-3) and high == pytest.approx(1.085, abs=1e-3)
