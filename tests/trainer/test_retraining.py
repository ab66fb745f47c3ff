"""A retraining on a mail host: what it reads, what it holds out, what it leaves, and that it leaves nobody's text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from spamfilter.classifier.bundle import default_bundle, open_bundle
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.cli import retrain as cli
from spamfilter.correction import Provenance, content_hash
from spamfilter.document import extract
from spamfilter.message import Kind
from spamfilter.store.database import store_url
from spamfilter.store.examples import Example
from spamfilter.store.labels import LabelStore
from spamfilter.verdict import Label
from tests.trainer import site
from tests.trainer.tiny_run import CARRIED, tiny_run
from trainer import labelled, retraining
from trainer.commands.retrain import STORE_VARIABLE, command
from trainer.errors import DataError, RecipeError
from trainer.gate import GateSettings
from trainer.job import Job, Progress
from trainer.labelled import SNAPSHOT, UNTIL, held_out, read_snapshot
from trainer.reading import Reader
from trainer.rebundle import NETWORK, replay_in
from trainer.recipes.retrain import Retrain
from trainer.retraining import CANDIDATE, absence, corrections_of, origin_of, same_network, settings_of


def label(state: Path, raws: Sequence[bytes], spam: np.ndarray, *, who: str = "ann") -> None:
    state.mkdir(exist_ok=True)
    with LabelStore(store_url("", state)) as store:
        for raw, is_spam in zip(raws, spam.tolist(), strict=True):
            example = Example(content_hash(raw), Kind.MAIL, extract(raw), len(raw))
            store.record(example, Label.SPAM if is_spam else Label.HAM, Provenance(who, "a test"))


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A retraining of the shipped model on forty labels: its folder, and what it told."""
    state = tmp_path_factory.mktemp("state")
    raws, spam = site.mails(40, 3)
    label(state, raws, spam)
    folder = state / "retrain" / "one"
    result = CliRunner().invoke(command, ["--state-dir", str(state), "--out", str(folder), "--force"])
    assert result.exit_code == 0, result.output
    return folder, [json.loads(line) for line in result.stdout.splitlines()]


def test_a_candidate_and_its_judgement_are_left(retrained: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, told = retrained
    bundle = open_bundle(folder / CANDIDATE)
    bundle.verify()
    Ensemble.load(bundle.path)
    assert bundle.model_id.startswith("retrained-")
    assert bundle.manifest["training"]["retrained from"] == open_bundle(default_bundle()).model_id
    gate = json.loads((folder / CANDIDATE / "gate.json").read_text())
    assert told[-1]["sentence"] == gate["sentence"] == (folder / CANDIDATE / "gate.md").read_text().splitlines()[-1]
    assert told[-1]["result"] == ("passed" if gate["passed"] else "refused")
    assert (told[-1]["labels"], told[-1]["model"]) == (40, bundle.model_id)
    assert told[-1]["until"] == bundle.manifest["training"][UNTIL]
    assert bundle.manifest["training"]["corrections"].startswith("32 (16 different ham, 16 different spam)")
    assert bundle.manifest["training"]["held out"] == "8 corrected messages for the gate"


def test_who_errs_too_often_does_not_judge_and_the_thresholds_in_force_do(tmp_path: Path) -> None:
    for seed, who in enumerate(("ann", "bob", "eve")):
        raws, spam = site.mails(30, 10 + seed)
        label(tmp_path, raws, 1 - spam if who == "eve" else spam, who=who)
    folder = tmp_path / "run"
    options = ["--spam-at", "0.9712", "--unsure-at", "0.6034"]
    result = CliRunner().invoke(command, ["--state-dir", str(tmp_path), "--out", str(folder), *options])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (folder / SNAPSHOT).read_text().splitlines()]
    eves = sum(line["held_out"] and line["who"] == "eve" for line in lines)
    notes = json.loads((folder / CANDIDATE / "gate.json").read_text())["notes"]
    assert eves and any(f"{eves} labels do not count" in note for note in notes)
    assert sum("unsure from 0.6034, spam from 0.9712" in note for note in notes) == 2


def test_progress_is_told_step_by_step(retrained: tuple[Path, list[dict[str, Any]]]) -> None:
    _, told = retrained
    steps = [line["step"] for line in told[:-1]]
    assert list(dict.fromkeys(steps)) == ["labels", "reading", "fitting", "writing", "judging"]
    last = {line["step"]: line for line in told[:-1]}
    assert all(line["done"] == line["of"] and line["eta_s"] == 0 for line in last.values())


def test_the_snapshot_names_what_was_read_and_holds_nobodys_text(
    retrained: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, told = retrained
    raws, spam = site.mails(40, 3)
    lines = [json.loads(line) for line in (folder / SNAPSHOT).read_text().splitlines()]
    labels = {line["content"]: line["label"] for line in lines}
    assert labels == {content_hash(raw): ("ham", "spam")[s] for raw, s in zip(raws, spam.tolist(), strict=True)}
    assert sum(line["held_out"] for line in lines) == told[-1]["held_out"] == 8
    assert {key for line in lines for key in line} == {
        "content", "label", "who", "how", "channel", "time", "kind", "extraction", "group", "held_out"
    }  # fmt: skip
    assert (folder / SNAPSHOT).stat().st_mode & 0o077 == 0


def test_a_mail_host_needs_nothing_of_the_trainer_but_scikit_learn() -> None:
    absent = ("torch", "pandas", "matplotlib", "jinja2", "onnx", "tokenizers", "safetensors", "huggingface_hub")
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import trainer.retraining, trainer.commands.retrain
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_labelled_and_no_bundle_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no labels yet"):
        retraining.run(Job(state_dir=tmp_path, folder=tmp_path / "run", bundle=default_bundle()), lambda told: None)
    with pytest.raises(DataError, match="no bundle there"):
        retraining.run(Job(state_dir=tmp_path, folder=tmp_path / "run", bundle=tmp_path), lambda told: None)


def test_the_store_may_lie_elsewhere_and_its_url_comes_unseen(tmp_path: Path) -> None:
    assert STORE_VARIABLE == cli.STORE_VARIABLE
    arguments = ["--state-dir", str(tmp_path), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(command, arguments, env={STORE_VARIABLE: f"sqlite:///{tmp_path}/elsewhere.sqlite3"})
    assert isinstance(result.exception, DataError)
    assert "elsewhere.sqlite3: there are no labels yet" in str(result.exception)


def _held(group: Sequence[int], spam: Sequence[int], fresh: Sequence[bool], salt: str = "a") -> np.ndarray:
    content = [str(row) for row in range(len(group))]
    return held_out(np.array(group), np.array(spam), np.array(fresh), content, salt=salt, least=3)


def test_a_fifth_of_the_groups_is_held_out_of_each_class_and_no_group_is_parted() -> None:
    group = np.repeat(np.arange(100), 2)
    spam = (np.arange(100) < 30).repeat(2).astype(int)
    held = _held(group.tolist(), spam.tolist(), [True] * 200)
    assert {label: len(np.unique(group[held & (spam == label)])) for label in (0, 1)} == {0: 14, 1: 6}
    assert not set(group[held]) & set(group[~held])
    assert (held != _held(group.tolist(), spam.tolist(), [True] * 200, salt="b")).any()  # another model, another fifth


def test_three_of_a_scarce_class_are_held_out_but_never_more_than_half() -> None:
    for count, wanted in ((1, 0), (2, 1), (5, 2), (6, 3), (14, 3), (15, 3), (20, 4)):
        assert _held(range(count), [0] * count, [True] * count).sum() == wanted


def test_what_the_model_in_service_has_not_learnt_comes_first() -> None:
    fresh = [False] * 80 + [True] * 20
    held = _held(range(100), [0] * 100, fresh)
    assert held.sum() == 4 and held[80:].sum() == 4
    held = _held(range(100), [0] * 100, [False] * 99 + [True])
    assert np.flatnonzero(held).tolist() == [97, 98, 99]  # filled up with the newest


def test_only_labels_after_the_last_training_are_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raws, spam = site.mails(30, 5)
    label(tmp_path, raws, spam)
    bundle = open_bundle(default_bundle())
    seen: list[np.ndarray] = []

    def spied(group: np.ndarray, spam: np.ndarray, fresh: np.ndarray, *rest: Any, **more: Any) -> np.ndarray:
        seen.append(fresh)
        return held_out(group, spam, fresh, *rest, **more)

    monkeypatch.setattr(labelled, "held_out", spied)
    job = Job(state_dir=tmp_path, folder=tmp_path / "run", bundle=bundle.path, gate=GateSettings())
    for moved, fresh in ((timedelta(days=-1), 30), (timedelta(days=1), 0)):
        training = {UNTIL: (datetime.now(UTC) + moved).isoformat()}
        later = type(bundle)(bundle.path, {**bundle.manifest, "training": training})
        snapshot = read_snapshot(job, later, Progress(lambda told: None))
        assert (len(snapshot.examples), int(seen[-1].sum())) == (30, fresh)


def test_settings_by_name() -> None:
    assert settings_of({"corrected": 2, "bands": False}) == Retrain(corrected=2.0, bands=False)
    for overrides, message in (
        ({"corected": 1.0}, "did you mean 'corrected'"),
        ({"folds": "many"}, "expected int"),
        ({"folds": 1}, "at least 2"),
    ):
        with pytest.raises(RecipeError, match=message):
            settings_of(overrides)


def test_every_retraining_begins_with_the_full_training(
    retrained: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, _ = retrained
    state, shipped = folder.parent.parent, open_bundle(default_bundle())
    candidate = open_bundle(folder / CANDIDATE)
    assert origin_of(candidate, state).path == shipped.path
    assert origin_of(shipped, state) is shipped
    again = tmp_path / "again"
    arguments = ["--state-dir", str(state), "--out", str(again), "--bundle", str(candidate.path), "--force"]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    assert open_bundle(again / CANDIDATE).manifest["training"]["retrained from"] == shipped.model_id


def test_where_the_full_training_is_gone_it_begins_with_what_is_there(
    retrained: tuple[Path, list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = retrained
    candidate = open_bundle(folder / CANDIDATE)
    monkeypatch.setattr(retraining, "default_bundle", lambda: tmp_path / "none")
    assert origin_of(candidate, tmp_path) is candidate


def test_what_a_network_lacks_to_learn_is_said_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(state_dir=tmp_path, folder=tmp_path / "out", bundle=default_bundle(), retrain=Retrain(network="lora"))
    with pytest.raises(RecipeError, match=r"no run is named: give the folder .*\(--run\), or take network: head"):
        retraining.run(job, lambda told: None)
    monkeypatch.setattr(retraining, "find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(RecipeError, match=r"read with torch: pip install .*\[train\]"):
        retraining.run(replace(job, run=tmp_path), lambda told: None)
    assert absence(replace(job, retrain=Retrain())) is None
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def relearnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[dict[str, Any]]]:
    """A run, a state folder in which its model learnt by adapters, and what that told."""
    run, state = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("state")
    tiny_run(run)
    label(state, *site.mails(40, 3))
    words = ["--state-dir", state, "--out", state / "retrain" / "one", "--bundle", run / "bundle", "--force"]
    words += ["--network", "lora", "--run", run, "--set", "learning_rate=0.01", "--set", "bands=false"]
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    return run, state, [json.loads(line) for line in result.stdout.splitlines()]


def test_the_network_learns_and_its_graph_goes_into_the_candidate(
    relearnt: tuple[Path, Path, list[dict[str, Any]]],
) -> None:
    run, state, told = relearnt
    folder = state / "retrain" / "one"
    base, made = open_bundle(run / "bundle"), open_bundle(folder / CANDIDATE)
    made.verify()
    Ensemble.load(made.path)
    assert not same_network(base, made)
    assert made.file("tokenizer.tiktoken").read_bytes() == base.file("tokenizer.tiktoken").read_bytes()
    training = made.manifest["training"]
    assert training["relearnt"].startswith("lora: ") and "180 messages of the run" in training["rehearsed"]
    steps = list(dict.fromkeys(line["step"] for line in told[:-1]))
    assert steps == [
        "labels", "reading", "rehearsal", "learning", "reading again", "fitting", "writing", "judging"
    ]  # fmt: skip
    last = {line["step"]: line for line in told[:-1]}
    assert all(line["done"] == line["of"] for line in last.values())
    assert sorted(path.name for path in folder.iterdir()) == [CANDIDATE, SNAPSHOT]


def test_the_replay_holds_the_new_networks_states_and_no_more_messages(
    relearnt: tuple[Path, Path, list[dict[str, Any]]],
) -> None:
    run, state, _ = relearnt
    before, after = (replay_in(open_bundle(path)) for path in (run / "bundle", state / "retrain" / "one" / CANDIDATE))
    assert before is not None and after is not None
    assert len(after) == len(before) == CARRIED
    assert np.abs(after.inputs.pooled - before.inputs.pooled).max() > 0.01
    assert len(after.calibrating.spam) == len(before.calibrating.spam)


def test_after_a_network_learnt_the_next_retraining_begins_with_the_full_training_again(
    relearnt: tuple[Path, Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, state, _ = relearnt
    monkeypatch.setattr(retraining, "default_bundle", lambda: run / "bundle")
    served = open_bundle(state / "retrain" / "one" / CANDIDATE)
    origin = origin_of(served, state)
    assert origin.path == run / "bundle" and origin.manifest["files"][NETWORK] != served.manifest["files"][NETWORK]
    snapshot = read_snapshot(
        Job(state_dir=state, folder=state, bundle=served.path), served, Progress(lambda told: None)
    )
    rows = np.arange(4)
    mine = corrections_of(snapshot, rows, served, origin, Reader(origin), Progress(lambda told: None))
    wanted = [Reader(origin).read(document)[1] for document in snapshot.documents(rows)]
    assert mine.inputs.pooled == pytest.approx(np.stack(wanted))


def test_a_head_rehearses_from_the_run_too(relearnt: tuple[Path, Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    run, state, _ = relearnt
    words = ["--state-dir", state, "--out", tmp_path / "out", "--bundle", run / "bundle", "--run", run, "--force"]
    result = CliRunner().invoke(command, [str(word) for word in [*words, "--set", "bands=false"]])
    assert result.exit_code == 0, (result.output, result.exception)
    made = open_bundle(tmp_path / "out" / CANDIDATE)
    assert same_network(made, open_bundle(run / "bundle"))
    assert "messages of the run" in made.manifest["training"]["rehearsed"]
    assert "relearnt" not in made.manifest["training"]
