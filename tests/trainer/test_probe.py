"""The strategy `probe`: everything frozen, a head fitted in one go, served as it was fitted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from spamfilter.classifier.gpt_runtime import GptRuntime
from spamfilter.classifier.tokenizer import Tokenizer
from tests.trainer.test_recipes import HAM, SPAM, table
from tests.trainer.tiny import tiny_model
from trainer.augment import Augment
from trainer.base import Base, load_classifier
from trainer.export import export_graph
from trainer.gpt import GPT
from trainer.recipes.finetune import Finetune, finetune, score
from trainer.recipes.probe import fit_probe, pooled_states, views
from trainer.run import Run
from trainer.tokenizer import train_bpe


@pytest.fixture(scope="module")
def base() -> Base:
    tokenizer = Tokenizer(train_bpe(HAM * 5 + SPAM * 5, 300))
    model = tiny_model(tokenizer.vocab_size)
    torch.manual_seed(3)
    projector = torch.nn.Linear(32, 384)
    return Base(model.config, tokenizer, model.state_dict(), projector.state_dict())


def test_the_folded_head_is_the_regression_on_the_projection(base: Base) -> None:
    rng = np.random.default_rng(0)
    states = rng.normal(size=(300, 32)).astype(np.float32)
    spam = (states[:, 0] + 0.3 * rng.normal(size=300) > 0).astype(int)
    model = base.network(pooling="mean")
    fit_probe(model, base, states, spam)
    with torch.no_grad():
        logits = model.classifier(torch.from_numpy(states)).numpy()
    assert base.projector is not None
    features = states @ base.projector["weight"].numpy().T + base.projector["bias"].numpy()
    scaled = (features - features.mean(0)) / features.std(0)
    plain = LogisticRegression(C=0.3, max_iter=1000).fit(scaled, spam)
    assert logits[:, 1] - logits[:, 0] == pytest.approx(plain.decision_function(scaled), abs=1e-2)


def test_without_a_teacher_the_states_themselves_are_read(base: Base) -> None:
    states = np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    model = base.network(pooling="mean")
    fit_probe(model, base.random(), states, (states[:, 3] > 0).astype(int))
    assert int(model.classifier.weight[1].abs().argmax()) == 3


def test_a_probe_leaves_the_body_as_it_was_and_is_served(base: Base, tmp_path: Path) -> None:
    settings = Finetune(epochs=3.0, threads=1, precision="fp32", device="cpu", augment=Augment(header_dropout=0.0))
    assert settings.strategy == "probe" and settings.pooling == "mean"
    model = finetune(settings, Run.open(tmp_path, settings), table(), base)
    for name, value in (base.weights or {}).items():
        if not name.startswith("classifier"):
            assert torch.equal(value, model.state_dict()[name]), name
    held = table()[lambda frame: frame["part"] == "holdout"]
    found = score(model, base.tokenizer, held["text"].to_list(), held["tail"].to_list())
    assert ((found > 0) == held["spam"]).mean() > 0.9
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])["trained"] == 66
    again = load_classifier(tmp_path)
    assert again.config.pooling == "mean"
    export_graph(again, tmp_path / "graph.onnx", int8=False)
    runtime = GptRuntime(tmp_path / "graph.onnx")
    ids = base.tokenizer.window(SPAM[0], "", 48)
    with torch.no_grad():
        logits = again.classify(torch.from_numpy(ids)[None], torch.tensor([len(ids)]))[0]
    assert runtime.score(ids)[0] == pytest.approx(float(logits[1] - logits[0]), abs=1e-4)


def test_views_are_drawn_by_source_and_repeat_by_seed(base: Base) -> None:
    frame = table()
    first, rows = views(frame, 60, Augment(), base.tokenizer, 48, seed=1)
    second, again = views(frame, 60, Augment(), base.tokenizer, 48, seed=1)
    assert (rows == again).all() and all((a == b).all() for a, b in zip(first, second, strict=True))
    assert set(frame["source"].iloc[rows]) == {"sms", "enron"}


def test_states_do_not_depend_on_the_batch(base: Base) -> None:
    model: GPT = base.network(pooling="mean")
    windows = [base.tokenizer.window(text, "", 48) for text in HAM + SPAM]
    together = pooled_states(model, windows, base.tokenizer.end, precision="fp32")
    alone = pooled_states(model, windows, base.tokenizer.end, precision="fp32", batch=1)
    assert np.allclose(together, alone, atol=1e-5)
    assert dataclasses.replace(model.config, pooling="last").pooling == "last"
