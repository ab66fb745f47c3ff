"""`model`: what is here, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spamfilter import classifier
from spamfilter.classifier.bundle import Bundle, BundleError
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
    from spamfilter.cli.model import _shown

    metrics = {"home: ensemble.roc_auc": 0.99954, "home: GPT alone.roc_auc": 0.9, "home: ensemble.ham": 839}
    assert list(_shown(metrics)) == ["ROC AUC 0.99954  home"]
    assert list(_shown({"a": 1, "b": 0.25})) == ["a 1", "b 0.25"]
