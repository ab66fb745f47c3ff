"""A candidate becomes a bundle that serves what was fitted, without torch and without touching the one before."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spamfilter.classifier.bundle import Bundle, open_bundle
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.document import extract, render
from spamfilter.message import Kind, Message, kind_of
from spamfilter.verdict import Score
from tests.trainer import site
from tests.trainer.tiny import SAMPLES, tiny_bundle, tiny_model
from trainer.errors import RecipeError
from trainer.export import export_graph
from trainer.gpt import GPT
from trainer.inputs import inputs_of
from trainer.rebundle import HEAD, asked_head, current_of, rebundle, replay_in
from trainer.recipes.retrain import Candidate, Retrain, retrain
from trainer.replay import FILE, Replay
from trainer.trust import Corrections
from trainer.warm import Head, logits, standings


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, GPT]:
    return tiny_bundle(tmp_path_factory.mktemp("base") / "base", int8=False)


@pytest.fixture(scope="module")
def candidate(bundle: tuple[Bundle, GPT]) -> Candidate:
    raws, spam = site.mails(20, 1)
    pooled = np.random.default_rng(0).normal(size=(20, 32)).astype(np.float32)
    inputs = inputs_of([extract(raw, Kind.MAIL) for raw in raws], pooled)
    names = np.arange(20).astype(str)
    mine = Corrections(inputs, spam, np.array(["ann"] * 20), names, np.arange(20.0))
    made = retrain(current_of(bundle[0]), mine, settings=Retrain(bands=False, together_pull=1e6))
    return replace(made, replay=replace_width(site.replay()))


def replace_width(replay: Replay) -> Replay:
    """A replay whose pooled states have the tiny network's width."""
    inputs = replay.inputs
    return replace(replay, inputs=replace(inputs, pooled=np.zeros((len(inputs), 32), np.float32)))


def test_the_head_is_read_from_the_graphs_answers(bundle: tuple[Bundle, GPT]) -> None:
    made, model = bundle
    found = asked_head(made)
    with torch.no_grad():
        wanted = (model.classifier.weight[1] - model.classifier.weight[0]).numpy()
        bias = float(model.classifier.bias[1] - model.classifier.bias[0])
    said = [Ensemble(made)._gpt.score(np.arange(n, dtype=np.int64)) for n in (3, 9, 20)]
    for logit, state in said:
        assert float(state @ found.weight + found.bias) == pytest.approx(logit, abs=1e-2)
        assert float(state @ wanted + bias) == pytest.approx(logit, abs=1e-2)


def test_what_is_written_is_what_was_fitted(bundle: tuple[Bundle, GPT], candidate: Candidate, tmp_path: Path) -> None:
    base, _ = bundle
    made = rebundle(tmp_path / "made", "site", base, candidate, metrics={"corrections": {"roc_auc": 0.9}})
    assert made.model_id.startswith("site-") and made.model_id != base.model_id
    assert made.manifest["training"]["retrained from"] == base.model_id
    assert made.file("gpt.onnx").read_bytes() == base.file("gpt.onnx").read_bytes()
    now = current_of(made)
    assert now.stages.head.weight == pytest.approx(candidate.stages.head.weight)
    assert now.stages.facts.weights == pytest.approx(candidate.stages.facts.weights)
    kept = replay_in(made)
    assert kept is not None and len(kept) == len(candidate.replay or ())
    assert replay_in(base) is None
    assert "retrained from" in (made.path / "MODEL_CARD.md").read_text()
    made.verify()


def test_another_graph_takes_the_place_of_the_bases(
    bundle: tuple[Bundle, GPT], candidate: Candidate, tmp_path: Path
) -> None:
    base, model = bundle
    export_graph(tiny_model(model.config.vocab_size, seed=5), tmp_path / "other.onnx")
    made = rebundle(tmp_path / "made", "site", base, candidate, metrics={}, graph=tmp_path / "other.onnx")
    made.verify()
    assert (
        made.file("gpt.onnx").read_bytes()
        == (tmp_path / "other.onnx").read_bytes()
        != base.file("gpt.onnx").read_bytes()
    )
    assert made.model_id != rebundle(tmp_path / "same", "site", base, candidate, metrics={}).model_id


def test_it_serves_as_it_was_fitted(bundle: tuple[Bundle, GPT], candidate: Candidate, tmp_path: Path) -> None:
    base, _ = bundle
    moved = replace(candidate, stages=replace(candidate.stages, head=Head(candidate.stages.head.weight * -2, 1.5)))
    made = rebundle(tmp_path / "made", "site", base, moved, metrics={})
    ensemble = Ensemble.load(made.path)
    raw = SAMPLES["ham"]
    [served] = ensemble.score([Message(raw, "test", kind=kind_of(raw))])
    assert isinstance(served, Score)
    document = extract(raw, Kind.MAIL)
    head, tail = render(document)
    window = ensemble._tokenizer.window(head, tail, 48, ensemble._ngram.judge(head, tail)[1])
    _, state = Ensemble.load(base.path)._gpt.score(window)
    inputs = inputs_of([document], state[None])
    now = current_of(made)
    wanted = logits(now.ensemble, standings(now.ensemble, now.stages.scores(inputs), inputs.mail), inputs.mail)[0]
    assert served.probability == pytest.approx(1 / (1 + np.exp(-wanted)), abs=2e-3)


def test_the_self_test_is_made_anew(bundle: tuple[Bundle, GPT], candidate: Candidate, tmp_path: Path) -> None:
    base, _ = bundle
    made = rebundle(tmp_path / "made", "site", base, candidate, metrics={})
    before, after = (json.loads(one.file("selftest.json").read_text()) for one in (base, made))
    assert [case["raw"] for case in before] == [case["raw"] for case in after]
    assert [case["probability"] for case in before] != [case["probability"] for case in after]


def test_a_bad_candidate_leaves_the_folder_as_it_was(
    bundle: tuple[Bundle, GPT], candidate: Candidate, tmp_path: Path
) -> None:
    base, _ = bundle
    rebundle(tmp_path / "made", "site", base, candidate, metrics={})
    stood = open_bundle(tmp_path / "made").model_id
    broken = {**candidate.ensemble, "stages": {}}
    with pytest.raises(RecipeError, match="self-test"):
        rebundle(tmp_path / "made", "site", base, replace(candidate, ensemble=broken), metrics={})
    assert open_bundle(tmp_path / "made").model_id == stood


def test_neither_retraining_nor_writing_needs_torch() -> None:
    code = "import sys, trainer.recipes.retrain, trainer.rebundle, trainer.replay; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (HEAD, FILE) == ("head.npz", "replay.npz")
