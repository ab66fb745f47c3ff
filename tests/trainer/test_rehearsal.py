"""A replay drawn from the run: the bundle's own messages first, further ones beside them, and no other run's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spamfilter.classifier.bundle import Bundle
from tests.trainer.tiny_run import CARRIED, tiny_run
from trainer.data.prepared import fact_matrix, render_columns
from trainer.errors import RecipeError
from trainer.job import Progress
from trainer.linear import counts_of
from trainer.rebundle import current_of, replay_in
from trainer.rehearsal import Rehearsal, calibrated, rehearsal_of, served_states, table_in
from trainer.replay import Replay

SILENT = Progress(lambda told: None)
Made = tuple[Path, Bundle, Replay]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    run = tmp_path_factory.mktemp("run")
    bundle = tiny_run(run)
    carried = replay_in(bundle)
    assert carried is not None
    return run, bundle, carried


@pytest.fixture(scope="module")
def rehearsal(made: Made) -> Rehearsal:
    run, bundle, carried = made
    states = served_states(bundle, current_of(bundle).stages.ngram, SILENT)
    return rehearsal_of(run, table_in(run), carried, states, most=60)


def test_the_bundles_messages_come_first_and_whole(made: Made, rehearsal: Rehearsal) -> None:
    _, _, carried = made
    replay = rehearsal.replay
    assert (len(carried), len(replay), len(rehearsal.table)) == (CARRIED, 60, 60)
    assert replay.spam[:CARRIED].tolist() == carried.spam.tolist()
    assert replay.inputs.pooled[:CARRIED] == pytest.approx(carried.inputs.pooled)
    assert replay.inputs.facts[:CARRIED] == pytest.approx(carried.inputs.facts, nan_ok=True)
    mine = counts_of(list(zip(*render_columns(rehearsal.table), strict=True))).whole
    assert (mine != replay.inputs.counts.whole).nnz == 0
    assert replay.inputs.counts.whole.nnz > 0
    assert np.array_equal(fact_matrix(rehearsal.table), replay.inputs.facts, equal_nan=True)


def test_every_message_is_linked_to_its_calibration(made: Made, rehearsal: Rehearsal) -> None:
    known = rehearsal.replay.calibrating
    there = known.row >= 0
    assert sorted(set(known.row[there].tolist())) == list(range(60))
    assert np.array_equal(rehearsal.replay.spam[known.row[there]], known.spam[there])
    assert len(set(rehearsal.table["group"])) == 60


def test_new_states_are_those_of_service(made: Made, rehearsal: Rehearsal) -> None:
    _, bundle, carried = made
    read = served_states(bundle, current_of(bundle).stages.ngram, SILENT)
    heads, tails = render_columns(rehearsal.table)
    again = read(heads[:CARRIED], tails[:CARRIED])
    assert np.corrcoef(again.ravel(), carried.inputs.pooled.ravel())[0, 1] > 0.99


def test_a_bundle_carries_no_more_afterwards(made: Made, rehearsal: Rehearsal) -> None:
    _, _, carried = made
    kept = rehearsal.for_bundle(rehearsal.replay)
    assert len(kept) == CARRIED
    assert (kept.inputs.counts.whole != carried.inputs.counts.whole).nnz == 0
    assert kept.calibrating.row.tolist() == carried.calibrating.row.tolist()


def test_a_run_that_has_no_more_is_rehearsed_as_it_is(made: Made) -> None:
    run, _, carried = made

    def states(heads: Sequence[str], tails: Sequence[str]) -> np.ndarray:
        raise AssertionError("there is nothing to read")

    assert len(rehearsal_of(run, table_in(run), carried, states, most=CARRIED).replay) == CARRIED


def test_nothing_of_a_source_that_is_left_out_is_drawn(made: Made) -> None:
    run, _, carried = made
    table = table_in(run)
    rows = calibrated(run, table, ("holdout",), "mill")
    assert set(table["source"].iloc[rows]) == {"list"}

    def states(heads: Sequence[str], tails: Sequence[str]) -> np.ndarray:
        return np.zeros((len(heads), carried.inputs.pooled.shape[1]))

    found = rehearsal_of(run, table, carried, states, most=60, left_out="mill")
    assert set(found.table["source"][CARRIED:]) == {"list"} and len(found.table) > CARRIED


def test_another_run_is_refused(made: Made, tmp_path: Path) -> None:
    run, _, carried = made
    table = table_in(run)
    turned = table.assign(spam=1 - table["spam"])
    with pytest.raises(RecipeError, match="not the run that the model in service was trained in"):
        rehearsal_of(run, turned, carried, lambda heads, tails: np.zeros((0, 32)))
    with pytest.raises(RecipeError, match="no training was run there"):
        table_in(tmp_path)
    with pytest.raises(RecipeError, match="compare sources"):
        calibrated(tmp_path, table, ("mill",))


def test_another_extractions_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "prepared.jsonl").write_text("")
    (tmp_path / "data" / "prepared.json").write_text(json.dumps({"extraction": "1-1-1"}))
    with pytest.raises(RecipeError, match=r"version 1-1-1.*leave the run out"):
        table_in(tmp_path)
