"""The registry of models: installed whole or not at all, one serves, and the way back is known. Also under kill -9."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spamfilter import bundles as registry
from spamfilter.bundles import DEFAULT, Activation, Bundles, is_whole
from spamfilter.classifier.bundle import BundleError, default_bundle, open_bundle
from spamfilter.config import load
from spamfilter.operating_point import bundle_path
from tests.__main__ import ROOT
from tests.bundles_process import make


@pytest.fixture
def bundles(tmp_path: Path) -> Bundles:
    """Models 0, 1 and 2 are installed as `a`, `b` and `c`; the shipped one serves."""
    made = Bundles(tmp_path / "state", check=is_whole)
    for seed, name in enumerate("abc"):
        assert made.install(make(tmp_path / f"source-{name}", seed), keep_name=name) == name
    return made


def lines(bundles: Bundles) -> list[tuple[str, str, str]]:
    return [(one.kind, one.before, one.name) for one in bundles.history()]


def serves(bundles: Bundles) -> Path:
    """What a daemon or a command with the default configuration takes."""
    return bundle_path(load(environ={}, state_dir=str(bundles.folder.parent)))


# ---- installing


def test_a_bundle_is_installed_under_its_model_id_and_does_not_serve_by_that(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path / "state", check=is_whole)
    source = make(tmp_path / "source", 0)
    (source / "gate.json").write_text("{}")
    (source / "notes.txt").write_text("in no manifest")
    name = bundles.install(source)
    assert name == open_bundle(source).model_id
    open_bundle(bundles.path(name)).verify()
    there = {file.name for file in bundles.path(name).iterdir()}
    assert there == {"manifest.json", "weights.bin", "table.bin", "gate.json"}
    assert (bundles.current(), serves(bundles)) == (None, default_bundle())
    assert bundles.install(source) == name
    assert bundles.names() == [name]


def test_a_damaged_source_is_not_installed(tmp_path: Path, bundles: Bundles) -> None:
    source = make(tmp_path / "source", 4)
    (source / "weights.bin").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"weights\.bin: does not match"):
        bundles.install(source, keep_name="bad")
    (source / "weights.bin").unlink()
    with pytest.raises(BundleError, match=r"weights\.bin: No such file"):
        bundles.install(source, keep_name="bad")
    assert bundles.names() == ["a", "b", "c"]
    bundles.heal()
    assert not [path for path in bundles.folder.iterdir() if path.name.startswith(".new-")]


@pytest.mark.parametrize("name", ["default", "current", "../up", "a/b", ".hidden", "", "x" * 101, "a\n"])
def test_names_that_would_lead_elsewhere_are_refused(tmp_path: Path, bundles: Bundles, name: str) -> None:
    if not name:
        assert bundles.install(make(tmp_path / "source", 4), keep_name=name).startswith("m4-")
        return
    with pytest.raises(BundleError, match="--as NAME"):
        bundles.install(make(tmp_path / "source", 4), keep_name=name)


def test_another_model_does_not_take_a_name_that_is_taken(tmp_path: Path, bundles: Bundles) -> None:
    with pytest.raises(BundleError, match="another model has this name"):
        bundles.install(tmp_path / "source-b", keep_name="a")


@pytest.mark.parametrize("damage", ["weights.bin", "manifest.json"])
def test_installing_again_mends_a_damaged_copy(tmp_path: Path, bundles: Bundles, damage: str) -> None:
    bundles.activate("a", "", "test")
    (bundles.path("a") / damage).write_bytes(b"{}")
    bundles.install(tmp_path / "source-a", keep_name="a")
    is_whole(bundles.path("a"))
    assert bundles.link() == "a"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(BundleError, match="run this as the daemon's user"):
        Bundles(tmp_path / "state", check=is_whole).install(make(tmp_path / "source", 0))


# ---- which one serves


def test_what_is_activated_serves(bundles: Bundles) -> None:
    for name in ("a", "b"):
        assert bundles.activate(name, f"{name} is better", "anna")
        assert bundles.current() == serves(bundles) == bundles.folder / name
    assert not bundles.activate("b", "again", "anna")
    first, second = bundles.history()
    assert second == Activation(
        second.time, "b", open_bundle(bundles.path("b")).model_id, "a", "activate", "b is better", "anna"
    )
    assert (first.before, first.name) == (DEFAULT, "a")
    assert [(one.name, one.current, one.activated is not None) for one in bundles.list()] == [
        ("default", False, False),
        ("a", False, True),
        ("b", True, True),
        ("c", False, False),
    ]


def test_the_shipped_one_can_be_activated_and_outlives_a_move_of_the_package(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles.activate("a", "", "test")
    bundles.activate(DEFAULT, "", "test")
    assert bundles.current() == serves(bundles) == default_bundle()
    monkeypatch.setattr("spamfilter.classifier.bundle.default_bundle", lambda: bundles.folder / "c")
    monkeypatch.setattr("spamfilter.operating_point.default_bundle", lambda: bundles.folder / "c")
    assert bundles.current() == serves(bundles) == bundles.folder / "c"


def test_a_link_made_by_hand_is_followed(bundles: Bundles, tmp_path: Path) -> None:
    (bundles.folder / "current").symlink_to(tmp_path / "source-a")
    assert bundles.current() == serves(bundles) == tmp_path / "source-a"


def test_a_bundle_that_does_not_pass_the_check_is_never_activated(bundles: Bundles) -> None:
    bundles.activate("a", "", "test")
    (bundles.path("b") / "table.bin").write_bytes(b"")
    with pytest.raises(BundleError, match="does not match"):
        bundles.activate("b", "", "test")
    with pytest.raises(BundleError, match=r"no model 'x' is installed \(there are: default, a, b, c\)"):
        bundles.activate("x", "", "test")
    assert (bundles.link(), len(bundles.history())) == ("a", 1)


def test_the_check_is_the_self_test_unless_told_otherwise(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_(path: Path) -> None:
        asked.append(path)
        raise BundleError("self-test 'ham' gave 0.9")

    monkeypatch.setattr("spamfilter.classifier.load", load_)
    with pytest.raises(BundleError, match="self-test"):
        Bundles(bundles.folder.parent).activate("a", "", "test")
    assert (asked, bundles.link()) == ([bundles.path("a")], None)


def test_one_pruned_while_it_is_checked_is_not_activated(bundles: Bundles) -> None:
    def pruned_meanwhile(path: Path) -> None:
        bundles.prune(0)

    with pytest.raises(BundleError, match="no bundle there"):
        Bundles(bundles.folder.parent, check=pruned_meanwhile).activate("a", "", "test")
    assert bundles.link() is None


# ---- the way back


def test_rollbacks_lead_down_and_never_back_up(bundles: Bundles) -> None:
    for name in "abc":
        bundles.activate(name, "", "test")
    assert bundles.before() == ["b", "a", DEFAULT]
    assert [bundles.rollback("", "test") for _ in range(3)] == ["b", "a", DEFAULT]
    with pytest.raises(BundleError, match="no model served before this one"):
        bundles.rollback("", "test")
    bundles.activate("c", "it was the disk", "anna")
    assert bundles.before() == [DEFAULT]


def test_a_rollback_passes_over_what_is_damaged_or_pruned(bundles: Bundles) -> None:
    for name in "abc":
        bundles.activate(name, "", "test")
    (bundles.path("b") / "weights.bin").unlink()
    assert bundles.rollback("", "test") == "a"
    bundles.activate("c", "", "test")
    (bundles.path("a") / "manifest.json").unlink()
    (bundles.path("a") / "weights.bin").unlink()
    assert bundles.rollback("", "test") == DEFAULT


def test_a_refused_model_is_withdrawn_unless_the_link_has_moved_on(bundles: Bundles) -> None:
    bundles.activate("a", "", "test")
    bundles.activate("b", "", "test")
    assert bundles.withdraw("b", "a", "refused", "daemon")
    assert (bundles.link(), bundles.before()) == ("a", [DEFAULT])
    bundles.activate("c", "", "test")
    assert not bundles.withdraw("b", "a", "refused", "daemon")
    assert bundles.link() == "c"


def test_pruning_keeps_the_newest_the_current_and_the_way_back(bundles: Bundles, tmp_path: Path) -> None:
    for name in "ab":
        bundles.activate(name, "", "test")
        time.sleep(0.002)
    bundles.install(make(tmp_path / "source-d", 3), keep_name="d")
    assert bundles.prune(4) == []
    assert bundles.prune(3) == ["c"]
    assert bundles.prune(0) == ["d"]
    assert (bundles.names(), bundles.link(), bundles.before()[0]) == (["a", "b"], "b", "a")
    bundles.rollback("", "test")
    assert bundles.prune(0) == ["b"]
    assert bundles.names() == ["a"]


def test_pruning_spares_what_it_is_told_to(bundles: Bundles) -> None:
    bundles.activate("a", "", "test")
    assert bundles.prune(0, spare=["c", "not installed"]) == ["b"]
    assert bundles.names() == ["a", "c"]


def test_a_linked_model_is_pruned_as_a_link(bundles: Bundles, tmp_path: Path) -> None:
    (bundles.folder / "linked").symlink_to(tmp_path / "source-a")
    assert "linked" in bundles.prune(0)
    assert (tmp_path / "source-a" / "weights.bin").exists()


# ---- the account


def test_torn_and_foreign_lines_are_left_out(bundles: Bundles) -> None:
    bundles.activate("a", "", "test")
    with (bundles.folder / "activations.jsonl").open("a") as file:
        file.write('null\n{"name": "x"}\n\xff\n{"time": "2026-01-01T00:00')
    bundles.activate("b", "überlegen", "test")
    assert lines(bundles) == [("activate", DEFAULT, "a"), ("activate", "a", "b")]
    assert bundles.history()[-1].why == "überlegen"


def test_a_missing_last_line_is_healed_from_the_link(bundles: Bundles) -> None:
    for name in "ab":
        bundles.activate(name, "", "test")
    path = bundles.folder / "activations.jsonl"
    before = path.read_text()
    bundles.activate("c", "", "test")
    path.write_text(before + before[:20])
    bundles.heal()
    assert lines(bundles)[2:] == [("activate", "b", "c")]
    assert bundles.history()[-1].by == "unknown"
    told = path.read_text()
    bundles.rollback("", "test")
    path.write_text(told)
    bundles.heal()
    assert lines(bundles)[3:] == [("rollback", "c", "b")]
    assert bundles.before() == ["a", DEFAULT]
    (bundles.folder / "current").unlink()  # by hand
    bundles.heal()
    assert lines(bundles)[4:] == [("rollback", "b", DEFAULT)]
    text = path.read_text()
    bundles.heal()
    assert path.read_text() == text


def test_looking_makes_nothing(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path / "state")
    bundles.heal()
    assert (bundles.link(), bundles.current(), bundles.names(), bundles.history()) == (None, None, [], [])
    assert [one.name for one in bundles.list()] == [DEFAULT]
    assert not (tmp_path / "state").exists()


def test_what_root_installs_belongs_to_the_daemons_user(
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(bundles.folder.parent, 12345, 12345)
    bundles.install(make(tmp_path / "source-d", 3), keep_name="d")
    bundles.activate("d", "", "root")
    made = [bundles.folder / "current", bundles.folder / "activations.jsonl", bundles.path("d")]
    made += bundles.path("d").iterdir()
    assert {path.lstat().st_uid for path in made} == {12345}


@pytest.mark.timeout(180)
def test_kill_9_at_any_instant_leaves_a_whole_model_serving(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bundles_process", str(tmp_path), "150", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["rounds"] == 150
    assert len(told["served"]) >= 2, told  # how far they get in their time depends on the machine
    assert told["activations"] > 50, told


def test_an_activation_that_is_cut_before_its_line_serves(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(self: Bundles, activation: Activation) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(registry.Bundles, "_note", cut)
        bundles.activate("a", "", "test")
    assert serves(bundles) == bundles.path("a")
    bundles.activate("b", "", "test")
    assert lines(bundles) == [("activate", DEFAULT, "a"), ("activate", "a", "b")]
