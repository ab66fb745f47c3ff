"""How far a training is: from metrics that may be torn, and from what a retraining says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spamfilter.console.training_runs import (
    Ended,
    Progress,
    complaint_in,
    curves,
    metrics,
    outcome_in,
    progress_of_log,
    progress_of_run,
    run_folders,
)


def logged(folder: Path, *lines: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "metrics.jsonl").write_text("\n".join(texts))
    return folder


def test_torn_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    folder = logged(tmp_path, {"step": 1, "loss": 2.0, "note": "x"}, "[1]", "", {"other": 1}, '{"step": 2, "lo')
    assert metrics(folder) == [{"step": 1.0, "loss": 2.0}]
    assert metrics(tmp_path / "none") == []


def test_a_pretraining_knows_how_much_is_left(tmp_path: Path) -> None:
    folder = logged(tmp_path, {"step": 20, "tokens": 250_000, "loss": 3, "rate": 1000}, {"step": 20, "valid_loss": 3.5})
    (folder / "settings.json").write_text('{"tokens": 1000000}')
    found = progress_of_run(folder, metrics(folder))
    assert found == Progress("step 20, 0.2 of 1 million tokens", 0.25, 750.0)
    assert found.left == "12 min 30 s left"


def test_of_other_steps_only_the_place_is_known(tmp_path: Path) -> None:
    folder = logged(tmp_path, {"step": 7, "loss": 3})
    assert progress_of_run(folder, metrics(folder)) == Progress("step 7", None, None)
    assert progress_of_run(folder, []) is None


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("", None),
        ("Traceback\n{broken", None),
        ('{"step": "reading", "done": 1, "of": 4, "eta_s": 3661}\n', Progress("reading", 0.25, 3661.0)),
        (
            '{"step": "reading", "done": 1, "of": 4}\n{"step": "fitting", "done": 0, "of": 0}',
            Progress("fitting", None, None),
        ),
        ('{"step": "x", "done": "y", "of": 1}', None),
    ],
)
def test_a_retraining_tells_its_steps(log: str, found: Progress | None) -> None:
    assert progress_of_log(log) == found


def test_hours_are_named() -> None:
    assert Progress("x", 0.1, 3661.0).left == "1 h 1 min left"
    assert Progress("x", 0.1, None).left == ""


def test_a_retraining_says_how_it_ended() -> None:
    refused = '{"step": "x"}\n{"outcome": {"sentence": "Refused: worse.", "passed": false, "installed": null}}\n'
    assert outcome_in(refused) == Ended("Refused: worse.", False, "")
    passed = '{"outcome": {"sentence": "Passed.", "passed": true, "installed": "retrained-1"}}\n'
    assert outcome_in(refused + passed) == Ended("Passed.", True, "retrained-1")
    assert outcome_in("nothing") is None


def test_a_training_that_could_not_be_says_why() -> None:
    assert complaint_in("Error: a\nerror: no labels yet; `learn` takes them\nlast words\n").startswith("no labels yet;")
    assert complaint_in('{"step": "x"}\n') == ""


def test_runs_are_folders_with_metrics(tmp_path: Path) -> None:
    logged(tmp_path / "b" / "finetune", {"step": 1, "loss": 1})
    logged(tmp_path / "a" / "pretrain", {"step": 1, "loss": 1})
    (tmp_path / "a" / "pretrain" / "final.pt").touch()
    (tmp_path / "c").mkdir()
    (tmp_path / "teacher.npz").touch()
    found = [(run.name, run.steps, run.writes, run.exported) for run in run_folders(tmp_path)]
    assert found == [("a", ("pretrain",), True, False), ("b", ("finetune",), False, False)]
    assert run_folders(tmp_path / "none") == []


def test_losses_and_held_out_figures_are_drawn_apart() -> None:
    found = [
        {"step": float(n), "loss": 5.0 - n, "valid_loss": 6.0 - n, "holdout_auc": 0.9, "lr": 1.0} for n in range(3)
    ]
    both = curves(found, "pretrain")
    assert ["loss in nats" in both[0], "held-out figures" in both[1]] == [True, True]
    assert both[0].count("<polyline") == 2
    assert curves([], "pretrain") == []
