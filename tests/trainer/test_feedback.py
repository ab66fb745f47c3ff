"""The experiments with corrections: the parts that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.trainer import site
from trainer.experiments.feedback import SAMPLED, World, everybody, is_judged, recalls, remembered, spread
from trainer.experiments.stream import Online, Plan, judged_and_learnt, order_of, recalled
from trainer.recipes.retrain import Retrain


@pytest.fixture(scope="module")
def world() -> World:
    raws, spam = site.mails(80, 3)
    raws[70] = raws[10].replace(b"<10.3@x.org>", b"<70.3@x.org>")  # a second copy
    texts = [raw.decode().partition("\n\n")[2] for raw in raws]
    groups = [f"{row:08x}{row % 7:02x}" for row in range(80)]
    groups[70] = groups[10]
    table = pd.DataFrame(
        {
            "source": "site", "path": [f"box/{79 - row:05d}.x" for row in range(80)], "spam": spam, "preamble": "",
            "text": texts, "tail": "", "group": groups,
        }
    )  # fmt: skip
    now = site.current()
    return World("site", table, site.inputs(raws, spam, 3), now, site.replay(), now.stages, lambda: [])


def test_judged_and_corrected_share_no_group(world: World) -> None:
    groups = world.table["group"].to_numpy()
    assert not set(groups[world.judged]) & set(groups[world.stream])
    assert set(world.judged) | set(world.stream) == set(range(80))
    assert is_judged(np.array(["0000000000", "0000000001"])).tolist() == [True, False]


def test_corrections_hold_both_classes_however_few(world: World) -> None:
    for seed in range(10):
        rows = world.corrected(2, seed)
        assert len(rows) == 2 and set(world.spam[rows]) == {0, 1} and set(rows) <= set(world.stream)


def test_unlabelled_mail_is_others_of_the_stream_and_teaches_one_retraining_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.evaluation.bogofilter.absence", lambda: "it reads files that this site has not")
    rows = world.corrected(20, 1)
    assert world.sampled(0, 1, rows) is None
    sampled = world.sampled(1000, 1, rows)
    assert len(sampled) == len(world.stream) - 20 and not len(sampled.counts.passages.data)
    settings = Retrain(bands=False, unlabelled=20.0)
    found, without = everybody(world, rows, settings, sampled), everybody(world, rows, settings)
    assert SAMPLED not in without and set(found) == {SAMPLED, *without}
    assert (found["retrain alone"] == without["retrain alone"]).all()
    assert not np.allclose(found[SAMPLED], found["retrain alone"])


def test_a_copy_is_recalled_and_moved_past_the_thresholds(world: World) -> None:
    [found] = recalls(world, np.array([10, 11]), np.array([70]))
    assert found is not None and found.label == "ham" and found.similarity > 0.9
    moved = remembered(np.array([2.0, 2.0]), [found, None], [{"false_positive_rate": 0.005, "probability": 0.9}])
    assert moved[0] < 0 and moved[1] == 2.0


def test_the_streams_memory_is_the_daemons(world: World) -> None:
    order = np.arange(80)
    known = recalled(world, order)
    assert known[70] is not None and known[70].label == "ham" and known[0] is None
    for place in (15, 40, 70):
        [daemons] = recalls(world, order[:place], order[place : place + 1])
        assert (known[place] is None) == (daemons is None)


def test_the_order_is_that_of_the_files_numbers(world: World) -> None:
    assert order_of(world).tolist() == list(range(79, -1, -1))


def test_online_steps_go_towards_the_label() -> None:
    online = Online(rate=1.0)
    ids, row = np.array([3, 5]), np.array([0.6, 0.8], np.float32)
    online.learn(ids, row, True, 0.0)
    first = online.score(ids, row)
    assert first > 0
    online.learn(ids, row, True, 30.0)
    assert online.score(ids, row) == pytest.approx(first, abs=1e-6)  # nothing to learn where it is sure


def test_a_message_is_judged_before_it_is_learnt(world: World) -> None:
    order, settings = np.arange(40), Retrain(bands=False)
    learnt = judged_and_learnt(world, order, Plan(1.0, memory=False, retrain_at=()), settings, lambda line: None)
    still = judged_and_learnt(world, order, Plan(0.0, memory=False, retrain_at=()), settings, lambda line: None)
    assert learnt[0] == still[0] and learnt[-1] != still[-1]
    spam = world.spam[order]
    assert (learnt - still)[20:][spam[20:] == 1].mean() > (learnt - still)[20:][spam[20:] == 0].mean()


def test_the_interval_is_students() -> None:
    mean, low, high = spread([1.0, 2.0, 3.0])
    assert mean == 2.0 and high - mean == pytest.approx(4.303 / np.sqrt(3), abs=1e-3) and mean - low == high - mean
