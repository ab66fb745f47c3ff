"""The reference workflow on a tiny collection: claim beside result, one page, what the story taught."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.trainer.collection import places
from trainer.commands import reproduce
from trainer.errors import RecipeError
from trainer.experiments import reference, trials
from trainer.experiments.collection import Reading, sms_table, unread_base
from trainer.recipes.finetune import Finetune
from trainer.run import load_recipe

__all__ = ["places"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller network for the story."""
    sizes = {"vocab_size": 280, "context": 16, "layers": 1, "heads": 2, "channels": 16}
    monkeypatch.setattr(reference, "_SIZES", sizes)


def test_claim_beside_result_on_one_page(places: tuple[Path, Path], small: None) -> None:
    data, run = places
    options = ["--data-dir", str(data), "--run", str(run), "--quick", "--set", "threads=1", "--set", "epochs=1"]
    done = CliRunner().invoke(reproduce.command, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    folder = run / "experiments" / "reproduce" / "own-quick"
    claim = json.loads((folder / "claim.json").read_text())
    assert claim["claim"] == 0.9567 and set(claim["seeds"]) == {"123"}
    names = [row["name"] for row in claim["table"]["rows"]]
    assert names[:2] == ["GPT-2 small, last block (as published)", "reference settings, seed 123"]
    assert any(name.startswith(reference.OURS) for name in names)
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3 and "95.67" in page
    assert claim["story"]["before"] != claim["story"]["after"]
    assert (folder / "pretraining.png").exists() and (folder / "fine-tuning.png").exists()


def test_without_a_base_it_says_how_to_make_one(places: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = places
    done = CliRunner().invoke(reproduce.command, ["--data-dir", str(data), "--run", str(tmp_path / "none")])
    assert isinstance(done.exception, RecipeError) and "python -m trainer pretrain" in str(done.exception)


def test_the_recipe_is_the_references(places: tuple[Path, Path]) -> None:
    settings = load_recipe(Finetune, "reference")
    assert (settings.strategy, settings.pooling, settings.batch, settings.epochs) == ("last-block", "last-padded", 8, 5)
    assert (settings.learning_rate, settings.weight_decay, settings.floor, settings.warmup) == (5e-5, 0.1, 1.0, 0)
    assert settings.language == settings.teacher == settings.label_smoothing == settings.augment.good_after == 0


def test_every_row_has_the_length_of_the_longest_training_message(places: tuple[Path, Path]) -> None:
    data, run = places
    reading, base = Reading.of(sms_table(data, run / "sms.jsonl")), unread_base(run)
    settings = load_recipe(Finetune, "reference", {"epochs": 1, "threads": 1})
    found = reference.tuned(reading, base, settings, 123, run / "tuned")
    assert 0 < found.padded <= base.config.context
    short = trials.shortened(base, found.padded)
    assert short.network().config.context == found.padded
    window = base.tokenizer.window("word " * 200, "", short.config.context)
    assert len(window) == found.padded
    assert len(found.scores) == len(found.split.test) and not np.isnan(found.scores).any()
    assert set(found.after) == {"training", "validation", "test"}
