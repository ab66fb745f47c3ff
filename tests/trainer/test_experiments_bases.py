"""Strategies and bases on a tiny collection: a row each, test rows apart, and the curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from spamfilter.message import Kind
from tests.trainer.collection import HAM, SPAM, WORDS, places
from trainer.data.example import Example
from trainer.data.prepared import row
from trainer.errors import RecipeError
from trainer.experiments import bases, strategies, trials
from trainer.experiments.collection import sms_table, unread_base
from trainer.experiments.strategies import mail_task, sms_task
from trainer.recipes.finetune import Finetune
from trainer.run import load_recipe
from trainer.strategies import STRATEGIES

__all__ = ["places"]
QUICK = {"epochs": 1.0, "batch": 8, "threads": 1, "warmup": 2, "teacher": 0.0, "language": 0.0}
SETS = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]


def mails(count: int = 120) -> pd.DataFrame:
    """Mail of two sources; every fifth is the holdout, every twentieth the test."""
    made = []
    for i in range(count):
        spam = i % 3 == 0
        text = (SPAM if spam else HAM)[i % 2].format(WORDS[i % 16], i)
        raw = f"From: a@example.org\nSubject: {WORDS[i % 16]}\n\n{text}\n".encode()
        made.append(row(Example("spamassassin" if i % 2 else "csdmc2010", f"{i}", spam, raw, Kind.MAIL)))
    table = pd.DataFrame(made)
    table["group"] = [f"g{i}" for i in range(count)]
    table["part"] = ["test" if i % 20 == 0 else "holdout" if i % 5 == 0 else "train" for i in range(count)]
    return table


def test_mail_is_judged_by_the_holdout_and_never_by_the_test() -> None:
    table = mails()
    task = mail_task(table, ("spamassassin", "csdmc2010"), 50)
    trained = np.concatenate([task.division.train, task.division.validation])
    assert len(trained) == 50 and set(table["part"].iloc[trained]) == {"train"}
    assert set(table["part"].iloc[task.test]) == {"holdout"}
    groups = table["group"]
    assert not set(groups.iloc[trained]) & set(groups.iloc[task.test])
    assert not set(groups.iloc[task.division.train]) & set(groups.iloc[task.division.validation])


def test_a_trial_is_given_no_row_that_it_judges(places: tuple[Path, Path]) -> None:
    data, run = places
    task = sms_task(sms_table(data, run / "sms.jsonl"))
    frame = trials.frame_of(task.table, task.division)
    assert set(frame["path"]) == set(task.table["path"].iloc[[*task.division.train, *task.division.validation]])
    assert not set(frame["path"]) & set(task.table["path"].iloc[task.test])
    assert set(frame["part"]) == {"train", "holdout"}


def test_every_strategy_and_every_pooling_has_a_row(places: tuple[Path, Path]) -> None:
    data, run = places
    options = ["--data-dir", str(data), "--run", str(run), *SETS]
    done = CliRunner().invoke(strategies.command, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    table = json.loads((run / "experiments" / "strategies" / "sms" / "sms-1.json").read_text())
    rows = {found["name"]: found for found in table["rows"]}
    assert [name for name in rows if ", pooling" not in name and not name.startswith(strategies.CONDITIONAL)] == [
        name for name in STRATEGIES if name not in strategies.CONDITIONAL
    ]
    assert len([name for name in rows if ", pooling" in name]) == 3
    trained = [int(rows[name]["trained"].replace(",", "")) for name in ("head", "last-block", "full")]
    assert trained == sorted(trained) and trained[0] == 2 * 64 + 2
    assert rows["full"]["trained"] == rows["full"]["of"]


def test_a_strategy_that_cannot_run_here_says_why(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = places

    def refused(folder: Path, settings: Finetune, *rest: object, **more: object) -> trials.Trial:
        if settings.strategy == "qlora":
            raise RecipeError("4-bit training needs torchao")
        return trials.Trial(np.zeros(160), 1.0, 1, 2)

    monkeypatch.setattr(strategies, "tried", refused)
    settings = load_recipe(Finetune, "sms", QUICK)
    task = sms_task(sms_table(data, run / "sms.jsonl"))
    found = strategies.compared(task, unread_base(run), settings, run / "out")
    assert [line.name for line in found.rows if "torchao" in line.name] == ["qlora: 4-bit training needs torchao"]


def test_bases_stand_side_by_side_with_their_curves(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = places
    monkeypatch.setattr("trainer.data.prepared.table_of", lambda folder, place: mails())
    options = ["--data-dir", str(data), "--run", str(run), "--tokens", str(4 * 32 * 5), "--messages", "50", *SETS]
    done = CliRunner().invoke(bases.command, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    folder = run / "experiments" / "bases"
    for number in (1, 2):
        table = json.loads((folder / f"bases-{number}.json").read_text())
        assert [found["name"] for found in table["rows"]] == [bases.OWN, bases.STORY, bases.RANDOM]
    assert (folder / "bases.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "the-verdict" / "final.pt").exists()


def test_results_of_another_base_are_refused(places: tuple[Path, Path]) -> None:
    data, run = places
    task = sms_task(sms_table(data, run / "sms.jsonl"))
    settings, base = load_recipe(Finetune, "sms", QUICK), unread_base(run)
    trials.tried(run / "one", settings, task.table, base, task.division, task.test)
    with pytest.raises(RecipeError, match="other data"):
        trials.tried(run / "one", settings, task.table, base.random(), task.division, task.test)
    with pytest.raises(RecipeError, match="scores of other messages"):
        trials.tried(run / "one", settings, task.table, base, task.division, task.division.train)
