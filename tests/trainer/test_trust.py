"""What corrections weigh: copies count once, nobody outvotes the others, and who errs is found out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.trainer import site
from trainer.recipes.retrain import Retrain, retrain
from trainer.trust import HEARD_TO, Belief, Corrections, believed, capped, weights_of
from trainer.warm import logits, standings

PEOPLE = np.array(["ann", "bob", "cat", "dan", "eve"])


def said_of(count: int = 200, *, who: np.ndarray = PEOPLE) -> tuple[Corrections, np.ndarray]:
    """Right labels of people who take turns, and logits (N,) that know them by 3 either way, give or take 1."""
    mine = replace(site.corrections(count), who=who[np.arange(count) // 2 % len(who)])
    return mine, (mine.spam * 2 - 1) * 3.0 + np.random.default_rng(0).normal(size=count)


def turned(mine: Corrections, rows: np.ndarray) -> Corrections:
    """The same with some labels turned around."""
    return replace(mine, spam=np.where(rows, 1 - mine.spam, mine.spam))


def test_copies_count_once_and_classes_are_drawn_together() -> None:
    mine = site.corrections(40)
    copies = replace(mine, group=np.where(np.arange(40) < 20, "same", mine.group))
    weights = weights_of(copies, np.ones(40), largest=0.34, balance=0.0)
    assert weights[:20].sum() == pytest.approx(1.0) and weights.sum() == pytest.approx(21)
    few = mine[np.r_[np.arange(0, 40, 2), 1, 3]]
    alike = weights_of(few, np.ones(22), largest=0.34, balance=1.0)
    assert alike[few.spam == 1].sum() == pytest.approx(alike[few.spam == 0].sum())


def test_no_reporter_outvotes_the_others() -> None:
    who = np.array(["loud"] * 90 + ["ann"] * 4 + ["bob"] * 6)
    weights = capped(np.ones(100), who, 0.34)
    sums = {name: weights[who == name].sum() for name in ("loud", "ann", "bob")}
    assert max(sums.values()) <= 0.34 * sum(sums.values()) * 1.02
    assert capped(np.ones(100), np.where(who == "bob", "ann", who), 0.34).tolist() == [1.0] * 100  # two people


def test_right_labels_are_believed() -> None:
    mine, said = said_of()
    belief = believed(mine, said, said, sure=5.0)
    assert belief.right.min() > 0.5 and belief.right.mean() > 0.98
    assert set(belief.wrong) == set(PEOPLE) and np.max(list(belief.wrong.values())) < 0.05
    assert belief.heard(mine.who).all()


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_wrong_labels_by_chance_are_found_where_they_are(share: float) -> None:
    mine, said = said_of(400)
    wrong = np.random.default_rng(1).random(400) < share
    belief = believed(turned(mine, wrong), said, said, sure=5.0)
    assert belief.right[wrong].mean() < 0.5 and belief.right[~wrong].mean() > 0.95
    told = np.mean(list(belief.wrong.values()))
    assert told == pytest.approx(share, abs=0.05)


def test_one_who_is_always_wrong_is_not_heard_and_costs_the_others_nothing() -> None:
    mine, said = said_of()
    eve = mine.who == "eve"
    belief = believed(turned(mine, eve), said, said, sure=5.0)
    assert belief.right[eve].max() < 0.2 and belief.right[~eve].mean() > 0.98
    assert belief.heard(PEOPLE).tolist() == [True] * 4 + [False]


def test_errors_in_one_direction_are_told_apart() -> None:
    mine, said = said_of(400)
    belief = believed(turned(mine, (mine.who == "eve") & (mine.spam == 1)), said, said, sure=5.0)
    ham, spam = belief.wrong["eve"]
    assert ham > 0.3 and spam < HEARD_TO


def test_two_who_say_the_same_against_the_models_are_believed_more_than_one() -> None:
    mine, said = said_of()
    lone = np.arange(200) == 7
    alone = believed(mine, said, np.where(lone, -said, said), sure=5.0)
    agreed = np.where(np.isin(np.arange(200), (7, 9)), "same", mine.group)  # of bob and of cat
    both = believed(replace(mine, group=agreed), said, np.where(np.isin(np.arange(200), (7, 9)), -said, said), sure=5.0)
    assert both.right[7] > alone.right[7]


def test_copies_of_one_person_are_one_voice() -> None:
    mine, said = said_of()
    group = mine.group.copy()
    group[mine.who == "eve"] = "same"
    spam = np.where(mine.who == "eve", 1, mine.spam)
    once = believed(replace(mine, group=group, spam=spam), said, np.where(mine.who == "eve", -3.0, said), sure=5.0)
    assert once.right[mine.who == "eve"].max() < 0.9


def test_what_models_cannot_tell_is_no_ground_for_doubt() -> None:
    mine, _ = said_of()
    noise = np.random.default_rng(2).normal(size=(2, 200)) * 8
    assert believed(mine, noise[0], noise[1], sure=5.0).right.mean() > 0.9


@pytest.mark.parametrize("who", [["ann"], ["ann", "bob"]])
def test_few_people_are_believed_whatever_models_say(who: list[str]) -> None:
    mine, said = said_of(who=np.array(who))
    belief = believed(mine, -said, -said, sure=5.0)
    assert (belief.right == 1).all() and belief.heard(mine.who).all()


def test_ham_of_who_is_heard_holds_in_full_unless_it_is_hardly_right() -> None:
    belief = Belief(np.array([0.5, 0.05, 0.5, 0.05]), {"ann": (0.02, 0.0), "eve": (0.4, 0.0)})
    assert belief.holds(np.array(["ann", "ann", "eve", "eve"])).tolist() == [1.0, 0.5, 0.5, 0.05]


def test_who_is_not_known_is_heard() -> None:
    assert Belief(np.ones(0), {"eve": (0.5, 0.0)}).heard(np.array(["new", "eve"])).tolist() == [True, False]


def test_wrong_labels_from_one_person_do_less_harm_than_they_would() -> None:
    mine = replace(site.corrections(100), who=PEOPLE[np.arange(100) // 2 % 5])
    poisoned = turned(mine, mine.who == "eve")
    trusting = retrain(site.current(), replace(poisoned, who=np.array(["ann"] * 100)), settings=Retrain(bands=False))
    doubting = retrain(site.current(), poisoned, settings=Retrain(bands=False))
    assert doubting.belief.right[mine.who == "eve"].mean() < 0.3 < 0.9 < doubting.belief.right[mine.who != "eve"].mean()
    raws, spam = site.mails(200, 99)
    inputs, now = site.inputs(raws, spam, 99), site.current()
    right = []
    for made in (trusting, doubting):
        values = logits(now.ensemble, standings(now.ensemble, made.stages.scores(inputs), inputs.mail), inputs.mail)
        right.append(float(((values > 0) == spam).mean()))
    assert right[1] >= right[0]
