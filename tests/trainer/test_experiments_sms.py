"""The SMS experiment on a tiny collection: promised rows, resumed trials, and no test message in any training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.trainer.collection import data_folder, places, run_folder
from trainer.errors import RecipeError
from trainer.evaluation.comparison import Comparison
from trainer.experiments import collection, sms, trials
from trainer.experiments.collection import Reading, readable, sms_table, unread_base
from trainer.recipes.finetune import Finetune
from trainer.run import load_recipe

__all__ = ["places"]
QUICK = {"epochs": 1.0, "batch": 8, "threads": 1, "warmup": 2, "teacher": 0.0}


def bench_of(run: Path, *, domain: int = 0) -> sms.Bench:
    settings = load_recipe(Finetune, "sms", QUICK)
    ranks = run / "pretrain" / "tokenizer.tiktoken"
    return sms.Bench(unread_base(run), ranks, run / "experiments" / "sms", settings, domain, None, 2)


def test_the_table_needs_no_other_corpus_and_is_kept(tmp_path: Path) -> None:
    data, out = data_folder(tmp_path / "data"), tmp_path / "sms.jsonl"
    table = sms_table(data, out)
    assert len(table) == 160 and table["spam"].sum() == 40 and set(table["part"]) == {"train"}
    (data / "sms-spam-collection.tsv").unlink()
    again = sms_table(data, out)
    assert again.equals(table) or again.astype(str).equals(table.astype(str))


def test_rows_that_are_joined_by_either_grouping_are_one_group() -> None:
    exact, near = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 3])
    group = collection._joined(exact, near)
    assert group[0] == group[1] == group[2] and len(set(group)) == 3


def test_a_base_that_has_read_the_collection_is_refused(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", corpora=("enron", "sms"))
    with pytest.raises(RecipeError, match="has read the SMS collection"):
        unread_base(run)


def test_no_training_reads_a_test_message(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = places
    reading = Reading.of(sms_table(data, run / "sms.jsonl"))
    groups = reading.table["group"].to_numpy()
    read: list[tuple[str, set[str]]] = []
    tests: list[set[str]] = []

    def watched_tuning(settings: Any, place: Any, table: Any, base: Any, **rest: Any) -> Any:
        read.append(("labels", set(table["group"])))
        return tune(settings, place, table, base, **rest)

    def watched_reading(settings: Any, place: Any, table: Any, folder: Any, **rest: Any) -> Any:
        read.append(("text", set(table["group"])))
        return pretrain(settings, place, table, folder, **rest)

    def watched_scores(
        self: sms.Bench, table: Any, name: str, divisions: Any, ask: Any, test: Any, settings: Any
    ) -> Any:
        before = len(read)
        found = scores(self, table, name, divisions, ask, test, settings)
        tests.append(set(groups[test]))
        assert len(read) > before
        for kind, seen in read[before:]:
            if kind == "text" or not name.startswith("reference"):
                assert not seen & tests[-1]
        for division in divisions:
            assert not {*division.train, *division.validation} & {*test}
        return found

    tune, pretrain, scores = trials.finetune, collection.pretrain, sms.Bench.scores
    monkeypatch.setattr(trials, "finetune", watched_tuning)
    monkeypatch.setattr(collection, "pretrain", watched_reading)
    monkeypatch.setattr(sms.Bench, "scores", watched_scores)
    bench = bench_of(run, domain=8 * 32 * 3)
    sms.reference(reading, bench, [123])
    sms.reference(reading, bench, [123], grouped=True)
    sms.full(reading, bench, folds=2)
    assert len(tests) == 4 and {kind for kind, _ in read} == {"labels", "text"}


def test_what_a_base_may_read_shares_no_group_with_the_test(places: tuple[Path, Path]) -> None:
    data, run = places
    table = sms_table(data, run / "sms.jsonl")
    test = np.arange(0, 40)
    left = readable(table, test)
    assert len(left) and not set(left["group"]) & set(table["group"].iloc[test])


def test_a_stopped_experiment_takes_up_its_trials(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = places
    reading = Reading.of(sms_table(data, run / "sms.jsonl"))
    first = sms.reference(reading, bench_of(run), [123, 1])

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(trials, "finetune", never)
    again = sms.reference(reading, bench_of(run), [123, 1])
    assert again.as_json() == first.as_json()
    for folder in (run / "experiments" / "sms" / "read-none").glob("*/gpt-*"):
        assert (folder / "scores.npz").exists() and not (folder / "final.pt").exists()


def names(comparison: Comparison) -> list[str]:
    return [row.name for row in comparison.rows]


def test_the_command_writes_the_promised_rows(places: tuple[Path, Path]) -> None:
    data, run = places
    sets = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(
        sms.command, ["--data-dir", str(data), "--run", str(run), "--seeds", "123,1", "--domain", "0", *sets],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    folder = run / "experiments" / "sms"
    for number, first in ((1, "GPT-2 small, last block (as published)"), (2, sms.SINGLE), (3, sms.TOGETHER)):
        table = json.loads((folder / f"sms-{number}.json").read_text())
        found = [row["name"] for row in table["rows"]]
        assert found[0] == first and sms.TOGETHER in found and "n-grams alone" in found
        assert {"naive Bayes, words", "logistic regression, words", "linear SVM, words + characters"} <= set(found)
    text = (folder / "sms.md").read_text()
    assert "seed 123" in text and "word for word" in text


def test_the_cut_blocks_no_more_ham_than_it_may() -> None:
    spam = np.array([0] * 1000 + [1] * 100)
    score = np.concatenate([np.linspace(-2, 0, 1000), np.linspace(-0.5, 2, 100)])
    cut = sms.cut_of(score, spam)
    assert (score[spam == 0] > cut).sum() == 0 and (score[spam == 1] > cut).mean() > 0.75
