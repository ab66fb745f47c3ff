"""`model`: what is here, and whether it is whole."""

from __future__ import annotations

import getpass
import json
import os
import shutil
from pathlib import Path

import pytest

from spamfilter import classifier
from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import Bundle, BundleError, write_manifest
from spamfilter.shadow import choose
from spamfilter.state_dir import StateDir
from tests.cli.conftest import Run, ScriptedClassifier, make_bundle


def test_models_are_listed_with_what_their_manifests_say(run: Run, tmp_path: Path, bundle: Bundle) -> None:
    make_bundle(tmp_path / "state" / "models" / "better")
    (tmp_path / "state" / "models" / "broken").mkdir()
    arguments = ("--state-dir", tmp_path / "state", "--set", "model.bundle=better")
    listed = json.loads(run("model", "list", "--json", *arguments).stdout)
    assert [(one["name"], one["used"]) for one in listed] == [("default", False), ("better", True), ("broken", False)]
    assert listed[0]["model"] == bundle.model_id
    assert listed[0]["metrics"] == {"held-out.roc_auc": 0.997, "held-out.count": 1209}
    assert listed[0]["created"] == "2026-01-02T03:04:05+00:00"
    assert "manifest.json is missing" in listed[2]["error"]
    table = run("model", "list", *arguments).stdout
    assert bundle.model_id in table
    assert "held-out.roc_auc 0.997" in table


def test_a_model_elsewhere_is_listed_when_it_is_used(run: Run, tmp_path: Path, bundle: Bundle) -> None:
    made = make_bundle(tmp_path / "elsewhere")
    listed = json.loads(run("model", "list", "--json", "--set", f"model.bundle={made.path}").stdout)
    assert [(one["path"], one["used"]) for one in listed] == [(str(bundle.path), False), (str(made.path), True)]


@pytest.mark.parametrize("how", ["", "default", "name", "folder", "./folder"])
def test_a_whole_model_verifies(run: Run, tmp_path: Path, scripted: ScriptedClassifier, how: str) -> None:
    make_bundle(tmp_path / "state" / "models" / "name")
    make_bundle(tmp_path / "folder")
    result = run("model", "verify", *([how] if how else []), "--state-dir", tmp_path / "state")
    assert result.exit_code == 0
    assert "every file is as the manifest says" in result.stdout
    assert "passes its self-test" in result.stdout


def test_a_changed_file_is_found(run: Run, bundle: Bundle, scripted: ScriptedClassifier) -> None:
    (bundle.path / "weights.bin").write_bytes(b"\1\2\4")
    result = run("model", "verify")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {bundle.path}/weights.bin: does not match the manifest's sha256")


def test_a_failed_self_test_is_said(run: Run, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: Path) -> None:
        raise BundleError(f"{path}: self-test 'ham' gave 0.900, the bundle says 0.010")

    monkeypatch.setattr(classifier, "load", load)
    result = run("model", "verify")
    assert (result.exit_code, "self-test 'ham' gave 0.900" in result.stderr) == (2, True)


def test_the_table_has_room_for_how_well_the_whole_ranks() -> None:
    from spamfilter.model_report import few

    metrics = {"home: ensemble.roc_auc": 0.99954, "home: GPT alone.roc_auc": 0.9, "home: ensemble.ham": 839}
    assert list(few(metrics)) == ["ROC AUC 0.99954  home"]
    assert list(few({"a": 1, "b": 0.25})) == ["a 1", "b 0.25"]


# ---- changing the model


@pytest.fixture
def state(tmp_path: Path, scripted: ScriptedClassifier) -> tuple[str, ...]:
    """The arguments for a registry with `better` and `best` installed; every bundle loads."""
    for name, weights in (("better", b"\1"), ("best", b"\2")):
        made = make_bundle(tmp_path / "sources" / name)
        (made.path / "weights.bin").write_bytes(weights)
        content = {key: made.manifest[key] for key in ("ensemble", "thresholds", "created", "metrics")}
        write_manifest(made.path, name, {**content, "training": {"messages": "12", "by": {"labels": 3}}})
        Bundles(tmp_path / "state").install(made.path, keep_name=name)
    return ("--state-dir", str(tmp_path / "state"))


def starred(run: Run, state: tuple[str, ...]) -> list[str]:
    return [one["name"] for one in json.loads(run("model", "list", "--json", *state).stdout) if one["used"]]


def test_install_activate_rollback_prune(run: Run, tmp_path: Path, state: tuple[str, ...], bundle: Bundle) -> None:
    assert starred(run, state) == ["default"]
    new = make_bundle(tmp_path / "new")
    said = run("model", "install", new.path, *state).stdout
    assert f"installed as {new.model_id}; to let it serve: spamfilter model activate {new.model_id}" in said
    assert json.loads(run("model", "install", new.path, "--as", "newest", "--json", *state).stdout)["name"] == "newest"
    assert starred(run, state) == ["default"]
    assert (
        "better is the current model; it serves from the next start"
        in run("model", "activate", "better", "--why", "it finds more", *state).stdout
    )
    told = json.loads(run("model", "activate", "best", "--json", *state).stdout)
    assert (told["name"], told["before"], told["model"][:5]) == ("best", "better", "best-")
    assert "already; nothing has changed" in run("model", "activate", "best", *state).stdout
    assert starred(run, state) == ["best"]
    table = run("model", "list", *state).stdout
    assert any(line.split()[:2] == ["*", "best"] for line in table.splitlines()), table
    assert "back from best to better" in run("model", "rollback", "--why", "it lost a bill", *state).stdout
    first, *_, last = Bundles(tmp_path / "state").history()
    assert (first.why, last.why) == ("it finds more", "it lost a bill")
    assert last.by == (os.environ.get("SUDO_USER") or getpass.getuser())
    assert json.loads(run("model", "rollback", "--json", *state).stdout)["name"] == "default"
    result = run("model", "rollback", *state)
    assert (result.exit_code, "no model served before this one; `model activate NAME`" in result.stderr) == (2, True)
    removed = json.loads(run("model", "prune", "--keep", "1", "--json", *state).stdout)["removed"]
    assert len(removed) == 3
    assert "nothing to remove" in run("model", "prune", *state).stdout


def test_pruning_leaves_the_one_in_the_shadow(run: Run, tmp_path: Path, state: tuple[str, ...]) -> None:
    choose(tmp_path / "state", "better")
    assert json.loads(run("model", "prune", "--keep", "0", "--json", *state).stdout)["removed"] == ["best"]
    assert Bundles(tmp_path / "state").names() == ["better"]


def test_a_running_daemon_is_named(run: Run, tmp_path: Path, state: tuple[str, ...]) -> None:
    with StateDir(tmp_path / "state"):
        said = run("model", "activate", "better", *state).stdout
    assert said.endswith(f"process {os.getpid()} takes it over in a moment\n")


def test_what_cannot_serve_is_not_activated(
    run: Run, tmp_path: Path, state: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: str) -> str:
        result = run("model", "activate", *arguments, *state)
        assert result.exit_code == 2
        assert starred(run, state) == ["default"]
        return str(result.stderr)

    assert "there are: default, best, better); `model install FOLDER` brings one" in refused("worst")
    assert "policy.unsure_at (0.95) lies above the spam threshold" in refused(
        "better", "--set", "policy.unsure_at=0.95"
    )
    pinned = run("model", "activate", "better", *state, "--set", "model.bundle=best")
    assert (pinned.exit_code, "model.bundle is best, so that one serves" in pinned.stderr) == (2, True)
    (tmp_path / "state" / "models" / "best" / "weights.bin").write_bytes(b"other")
    assert "does not match the manifest's sha256; install the bundle again" in refused("best")

    def load(path: Path, **options: object) -> None:
        raise BundleError(f"{path}: self-test 'ham' gave 0.900, the bundle says 0.010")

    monkeypatch.setattr(classifier, "load", load)
    assert "self-test 'ham' gave 0.900" in refused("better")


def test_a_damaged_bundle_is_not_installed(run: Run, tmp_path: Path, state: tuple[str, ...]) -> None:
    source = tmp_path / "sources" / "best"
    (source / "weights.bin").write_bytes(b"other")
    result = run("model", "install", source, "--as", "other", *state)
    assert (result.exit_code, "does not match" in result.stderr) == (2, True)
    assert not (tmp_path / "state" / "models" / "other").exists()
    assert run("model", "install", tmp_path / "nowhere", *state).exit_code == 2


# ---- showing one


def test_a_model_is_shown_with_its_gate_report_and_when_it_served(
    run: Run, tmp_path: Path, state: tuple[str, ...]
) -> None:
    (tmp_path / "state" / "models" / "better" / "gate.json").write_text('{"passed": true, "brier": [0.1, 0.2]}')
    run("model", "activate", "better", "--why", "it finds more", *state)
    shown = json.loads(run("model", "show", "--json", *state).stdout)
    assert (shown["name"], shown["training"]) == ("better", {"messages": "12", "by": {"labels": 3}})
    assert shown["operating_point"] == {"unsure_at": 0.5, "spam_at": 0.9}
    assert (shown["gate"], shown["activations"][0]["why"]) == ({"passed": True, "brier": [0.1, 0.2]}, "it finds more")
    people = " ".join(run("model", "show", "better", *state).stdout.split())
    for expected in (
        "policy unsure from 0.5000, spam from 0.9000",
        "gate: passed True",
        "gate: brier.1 0.2",
        "training: by.labels 3",
        "threshold: ham lost 0.10% 0.9000",
        "measured: held-out.roc_auc 0.997",
        "after default, by",
        ": it finds more",
    ):
        assert expected in people
    assert json.loads(run("model", "show", "default", "--json", *state).stdout)["gate"] is None
    assert run("model", "show", "worst", *state).exit_code == 2


def test_the_one_in_use_is_verified_as_json(run: Run, state: tuple[str, ...]) -> None:
    run("model", "activate", "best", *state)
    told = json.loads(run("model", "verify", "--json", *state).stdout)
    assert (told["name"], told["whole"]) == ("best", True)


def test_one_that_serves_and_is_damaged_is_listed(run: Run, tmp_path: Path, state: tuple[str, ...]) -> None:
    run("model", "activate", "best", *state)
    shutil.rmtree(tmp_path / "state" / "models" / "best")
    listed = json.loads(run("model", "list", "--json", *state).stdout)
    assert [(one["name"], one["used"]) for one in listed] == [("default", False), ("better", False), ("best", True)]
    assert "no bundle there" in listed[2]["error"]


def test_the_shipped_model_is_shown_as_it_is(run: Run) -> None:
    people = " ".join(run("model", "show").stdout.split())
    assert "network" in people and "cascade: mail" in people and "finds" in people
