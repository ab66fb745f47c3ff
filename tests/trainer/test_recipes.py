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
from trainer.augment import Augment
from trainer.base import Base, load_base, load_classifier
from trainer.corpus import Piece
from trainer.data.example import Example
from trainer.data.prepared import row
from trainer.errors import RecipeError
from trainer.gpt import GPT
from trainer.recipes import finetune as tuning
from trainer.recipes import pretrain as pretraining
from trainer.recipes.distil import Distil
from trainer.recipes.finetune import Finetune
from trainer.recipes.pretrain import Pretrain
from trainer.run import Run, load_recipe
from trainer.strategies import STRATEGIES
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
def corpus(monkeypatch: pytest.MonkeyPatch) -> list[Piece]:
    texts = [Piece(text, text) for text in HAM * 40 + SPAM * 40]
    monkeypatch.setattr(pretraining, "pieces", lambda corpora, table, data: texts)
    unit = np.eye(384, dtype=np.float16)
    known = {text: unit[n] for n, text in enumerate([*HAM, *SPAM])}
    monkeypatch.setattr(
        pretraining,
        "embeddings",
        lambda shown, cache: np.stack([known.get(text, np.zeros(384, np.float16)) for text in shown]),
    )
    return texts


_SIZES = {"vocab_size": 300, "context": 16, "layers": 1, "heads": 2, "channels": 16}
SMALL = Pretrain(**_SIZES, batch=4, tokens=4 * 16 * 20, warmup=2, threads=1, checkpoint_every=10, candidates=64,
                 dropout=0.1, average=0.5, precision="fp32", device="cpu")  # fmt: skip
TINY_TUNING = Finetune(
    strategy="full", pooling="last",
    epochs=12, batch=8, learning_rate=0.003, warmup=5, threads=1, checkpoint_every=10, teacher=0.0, precision="fp32",
    device="cpu", augment=Augment(header_dropout=0, good_before=0, good_after=0),
)  # fmt: skip


class Killed(Run):
    """A run that dies right after its first checkpoint."""

    def save(self, state: dict[str, object], name: str = "checkpoint.pt") -> None:
        """Save, then die."""
        Run.save(self, state, name)
        raise KeyboardInterrupt


def _pretrain(settings: Pretrain, run: Run, folder: Path) -> GPT:
    return pretraining.pretrain(settings, run, table(), folder, teacher_cache=folder / "teacher.npz")


def _same(one: GPT, other: GPT) -> None:
    for (name, a), (_, b) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("accumulate", [1, 2])
def test_pretraining_learns_and_goes_on_bit_by_bit(tmp_path: Path, corpus: list[Piece], accumulate: int) -> None:
    settings = dataclasses.replace(SMALL, accumulate=accumulate, tokens=SMALL.tokens * accumulate)
    whole = _pretrain(settings, Run.open(tmp_path / "whole", settings), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _pretrain(settings, Killed(Run.open(tmp_path / "parts", settings).folder), tmp_path)
    assert Run(tmp_path / "parts").load()["step"] == 10  # type: ignore[index]
    _same(whole, _pretrain(settings, Run.open(tmp_path / "parts", settings), tmp_path))
    metrics = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    losses = [m["valid_loss"] for m in metrics if "valid_loss" in m]
    assert losses[-1] < losses[0] < np.log(300)


def test_a_finished_pretraining_is_a_base_with_its_projection(tmp_path: Path, corpus: list[Piece]) -> None:
    model = _pretrain(SMALL, Run.open(tmp_path, SMALL), tmp_path)
    base = load_base(tmp_path)
    _same(model, base.network())
    assert base.projector is not None and base.projector["weight"].shape == (384, 16)
    assert base.random().projector is None
    assert not torch.equal(base.random().network().tokens.weight, base.network().tokens.weight)


def test_early_stop_keeps_the_best(tmp_path: Path, corpus: list[Piece]) -> None:
    settings = dataclasses.replace(SMALL, patience=1, learning_rate=3.0, tokens=SMALL.tokens * 20, average=0.0)
    model = _pretrain(settings, Run.open(tmp_path, settings), tmp_path)
    state = Run(tmp_path).load()
    assert state is not None and state["step"] < 400
    best = Run(tmp_path).load("best.pt")
    assert best is not None and best["step"] < state["step"]
    assert torch.equal(model.tokens.weight, best["model"]["model.tokens.weight"])


def test_another_recipe_or_other_data_does_not_go_on_with_a_run(tmp_path: Path) -> None:
    Run.open(tmp_path, SMALL, data="one")
    with pytest.raises(RecipeError, match=r"other settings.*seed: 123, now 5"):
        Run.open(tmp_path, dataclasses.replace(SMALL, seed=5), data="one")
    with pytest.raises(RecipeError, match="other data"):
        Run.open(tmp_path, SMALL, data="two")
    origin = json.loads((tmp_path / "origin.json").read_text())
    assert origin["data"] == "one" and origin["torch"] == torch.__version__


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(RecipeError, match=r"checkpoint\.pt: cannot be read"):
        Run(tmp_path).load()


def _base() -> Base:
    tokenizer = Tokenizer(train_bpe(HAM * 5 + SPAM * 5, 300))
    model = tiny_model(tokenizer.vocab_size)
    return Base(model.config, tokenizer, model.state_dict())


@pytest.mark.parametrize("strategy", ["full", "lora", "last-n"])
def test_fine_tuning_learns_the_classes_and_goes_on_bit_by_bit(tmp_path: Path, strategy: str) -> None:
    settings = dataclasses.replace(TINY_TUNING, strategy=strategy, epochs=20.0, learning_rate=0.01)
    frame, base = table(), _base()
    whole = tuning.finetune(settings, Run.open(tmp_path / "whole", settings), frame, base)
    held = frame[frame["part"] == "holdout"]
    scores = tuning.score(whole, base.tokenizer, held["text"].to_list(), held["tail"].to_list())
    assert (scores[held["spam"] == 1].min()) > scores[held["spam"] == 0].max()
    with pytest.raises(KeyboardInterrupt):
        tuning.finetune(settings, Killed(Run.open(tmp_path / "parts", settings).folder), frame, base)
    _same(whole, tuning.finetune(settings, Run.open(tmp_path / "parts", settings), frame, base))
    _same(whole, load_classifier(tmp_path / "whole"))


def test_every_balance_and_pooling_trains(tmp_path: Path) -> None:
    base = _base()
    for number, changes in enumerate(
        ({"balance": "undersample"}, {"balance": "weights"}, {"balance": "natural", "pooling": "mean"},
         {"pooling": "last-padded", "pad_to": 32, "language": 0.0})
    ):  # fmt: skip
        settings = dataclasses.replace(TINY_TUNING, epochs=1.0, **changes)
        folder = tmp_path / str(number)
        model = tuning.finetune(settings, Run.open(folder, settings), table(), base)
        assert model.config.pooling == settings.pooling


def test_a_source_left_out_is_never_drawn() -> None:
    settings = dataclasses.replace(TINY_TUNING, epochs=3.0, leave_out=("enron",))
    train = tuning.chosen(table(), settings, "train")
    batches = tuning.schedule(train, settings)
    assert batches.shape == (3 * len(train) // 8, 8)
    assert set(train.loc[batches.ravel(), "source"]) == {"sms"}
    with pytest.raises(RecipeError, match="source 'enrom' is not in the table"):
        tuning.chosen(table(), dataclasses.replace(settings, leave_out=("enrom",)), "train")


def test_shipped_recipes_load_and_unknown_keys_name_the_nearest() -> None:
    assert load_recipe(Pretrain, "pretrain") == Pretrain()  # two places, one set of values
    assert load_recipe(Finetune, "finetune") == Finetune()
    assert load_recipe(Distil, "distil") == Distil()
    for name in ("sms", "reference"):
        assert load_recipe(Finetune, name).strategy in STRATEGIES
    assert load_recipe(Finetune, "finetune", {"epochs": 1}).epochs == 1.0
    assert load_recipe(Finetune, "finetune", {"augment.leet": 1}).augment.leet == 1.0
    assert load_recipe(Finetune, "finetune", {"leave_out": "sms"}).leave_out == ("sms",)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"learnig_rate": 1}, "did you mean 'learning_rate'"),
        ({"augment.let": 1}, "did you mean 'leet'"),
        ({"epochs.x": 1}, "epochs: expected float"),
        ({"epochs": "many"}, "epochs: expected float, found 'many'"),
        ({"augment": 3}, "augment: expected keys below it"),
        ({"strategy": "lor"}, "strategy: 'lor'; choose from"),
        ({"precision": "fp8"}, "precision: 'fp8'"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_said(overrides: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(Finetune, "finetune", overrides)


def test_recipes_that_are_not_there_or_not_yaml(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'pretrian'.*finetune, pretrain"):
        load_recipe(Pretrain, "pretrian")
    (tmp_path / "own.yaml").write_text("epochs: [")
    with pytest.raises(RecipeError, match="not YAML"):
        load_recipe(Finetune, str(tmp_path / "own.yaml"))
