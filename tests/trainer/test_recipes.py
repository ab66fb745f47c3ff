"""Recipes on a handful of messages: they learn, a stopped run goes on exactly, wrong keys name the right one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.message import Kind
from tests.trainer.tiny import tiny_model
from trainer.data.corpora import Example
from trainer.data.prepared import row
from trainer.errors import RecipeError
from trainer.recipes import finetune as tuning
from trainer.recipes import pretrain as pretraining
from trainer.recipes.finetune import Finetune
from trainer.recipes.pretrain import Pretrain
from trainer.run import Run, cosine, load_recipe
from trainer.tokenizer import train_bpe

HAM = ["lunch on monday at the usual place?", "the report is in the shared folder", "see you tomorrow, drive safely"]
SPAM = ["win a free prize now, call today", "cheap pills without prescription", "you have won one million dollars"]


def table() -> pd.DataFrame:
    """120 messages of two sources, a tenth held out."""
    rows = []
    for i in range(120):
        spam = i % 2 == 1
        text = f"{(SPAM if spam else HAM)[i % 3]} {i}"
        rows.append(row(Example("sms" if i < 60 else "enron", f"{i}", spam, text.encode(), Kind.TEXT)))
    made = pd.DataFrame(rows)
    made["part"] = ["holdout" if i % 10 < 2 else "train" for i in range(120)]
    made["group"] = made["path"]
    return made


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts = HAM * 30 + SPAM * 30
    monkeypatch.setattr(pretraining, "texts", lambda table, data: texts)
    return texts


_SIZES = {"vocab_size": 300, "context": 16, "layers": 1, "heads": 2, "channels": 16}
SMALL = Pretrain(**_SIZES, batch=4, tokens=4 * 16 * 20, warmup=2, threads=1, checkpoint_every=10)


def test_pretraining_learns_and_goes_on_exactly(tmp_path: Path, corpus: list[str]) -> None:
    frame = table()
    # 64 windows are held out for validation; the corpus must be larger
    corpus.extend(HAM * 200)
    whole = pretraining.pretrain(SMALL, Run.open(tmp_path / "whole", SMALL), frame, tmp_path)
    half = dataclasses.replace(SMALL, tokens=SMALL.tokens // 2)
    assert half.tokens == 4 * 16 * 10
    run = Run.open(tmp_path / "parts", SMALL)
    original = run.save
    calls = []

    def save_then_die(state: dict[str, object], name: str = "checkpoint.pt") -> None:
        original(state, name)
        calls.append(state["step"])
        if len(calls) == 1:
            raise KeyboardInterrupt

    class Killed(Run):
        save = staticmethod(save_then_die)  # type: ignore[assignment]

    with pytest.raises(KeyboardInterrupt):
        pretraining.pretrain(SMALL, Killed(run.folder), frame, tmp_path)
    resumed = pretraining.pretrain(SMALL, Run.open(tmp_path / "parts", SMALL), frame, tmp_path)
    for (name, a), (_, b) in zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    metrics = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    losses = [m["valid_loss"] for m in metrics if "valid_loss" in m]
    assert losses[-1] < np.log(300)


def test_another_recipe_does_not_resume_a_run(tmp_path: Path) -> None:
    Run.open(tmp_path, SMALL)
    with pytest.raises(RecipeError, match="other settings"):
        Run.open(tmp_path, dataclasses.replace(SMALL, seed=5))


def test_fine_tuning_learns_the_classes(tmp_path: Path) -> None:
    ranks = train_bpe(HAM * 5 + SPAM * 5, 300)
    tokenizer = Tokenizer(ranks)
    settings = Finetune(epochs=12, batch=8, learning_rate=0.003, warmup=5, threads=1, checkpoint_every=1000)
    frame = table()
    model = tuning.finetune(settings, Run.open(tmp_path, settings), frame, tiny_model(tokenizer.vocab_size), tokenizer)
    held = frame[frame["part"] == "holdout"]
    scores = tuning.score(model, tokenizer, held["text"].to_list(), held["tail"].to_list())
    assert (scores[held["spam"] == 1].min()) > scores[held["spam"] == 0].max()
    assert Run(tmp_path).load() is not None


def test_a_source_left_out_is_never_drawn() -> None:
    frame = table()
    train = frame[(frame["part"] == "train") & (frame["source"] != "enron")].reset_index(drop=True)
    batches = tuning.schedule(train, Finetune(epochs=3, batch=8))
    assert batches.shape == (3 * len(train) // 8, 8)
    assert set(train.loc[batches.ravel(), "source"]) == {"sms"}


def test_shipped_recipes_load_and_unknown_keys_name_the_nearest() -> None:
    assert load_recipe(Pretrain, "pretrain") == Pretrain()  # two places, one set of values
    assert load_recipe(Finetune, "finetune") == Finetune()
    assert load_recipe(Pretrain, "pretrain").context == 256
    assert load_recipe(Finetune, "finetune", {"epochs": 1}).epochs == 1
    with pytest.raises(RecipeError, match="did you mean 'learning_rate'"):
        load_recipe(Finetune, "finetune", {"learnig_rate": 1})


def test_the_learning_rate_rises_then_falls() -> None:
    factors = [cosine(step, 100, 10) for step in range(100)]
    assert factors[0] < factors[5] < factors[10] == max(factors)
    assert factors[-1] == pytest.approx(0.1, abs=0.01)
