"""`retrain`: one at a time, only when it is worth it, only what passed; and a kill leaves nothing half."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spamfilter import classifier
from spamfilter.bundles import Bundles, is_whole
from spamfilter.classifier import bundle as shipped
from spamfilter.cli import options
from spamfilter.cli import retrain as command
from spamfilter.cli.retrain_runs import CANDIDATES_KEPT, KEPT, Outcome, Runs
from spamfilter.correction import Provenance, content_hash
from spamfilter.document import Document, extract
from spamfilter.message import Kind
from spamfilter.store.database import store_url
from spamfilter.store.examples import Example
from spamfilter.store.labels import LabelStore
from spamfilter.verdict import Label
from tests.__main__ import ROOT
from tests.bundles_process import make
from tests.logs import restored
from tests.trainer import site

SCRIPT = Path(__file__).with_name("scripted_trainer.py")
Retrain = Callable[..., Result]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def retrain(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Retrain]:
    """The command, with a scripted trainer and bundles that load as they are."""
    small = make(tmp_path / "shipped", 99)
    monkeypatch.setattr(shipped, "default_bundle", lambda: small)
    monkeypatch.setattr("spamfilter.operating_point.default_bundle", lambda: small)
    monkeypatch.setattr(classifier, "load", lambda path, **options: is_whole(path))
    monkeypatch.setattr(command, "TRAINER", (sys.executable, "-I", "-S", str(SCRIPT)))
    monkeypatch.setattr(options, "SYSTEM_CONFIG", tmp_path / "etc" / "spamfilter.yaml")
    monkeypatch.delenv(options.CONFIG_VARIABLE, raising=False)
    monkeypatch.setenv("SCRIPTED_SOURCE", str(make(tmp_path / "made", 1)))

    def called(*arguments: str) -> Result:
        result = CliRunner().invoke(command.retrain, ["--state-dir", str(state), *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    with restored():
        yield called


def label(state: Path, count: int, *, begin: int = 0, time: datetime | None = None) -> None:
    """So many labels, every second one spam."""
    state.mkdir(exist_ok=True)
    with LabelStore(store_url("", state)) as store:
        for number in range(begin, begin + count):
            document = Document(Kind.MAIL, f"text {number}")
            example = Example(f"{number:064x}", Kind.MAIL, document, 10)
            store.record(example, (Label.HAM, Label.SPAM)[number % 2], Provenance("ann", "a test"), time=time)


def test_what_passed_is_installed_and_serves(retrain: Retrain, state: Path) -> None:
    label(state, 60)
    result = retrain()
    assert (result.exit_code, "It serves now" in result.stdout) == (0, True), result.stderr
    bundles = Bundles(state)
    assert bundles.current() == bundles.path(bundles.names()[0])
    assert json.loads((bundles.path(bundles.names()[0]) / "gate.json").read_text())["passed"] is True
    last = bundles.history()[-1]
    assert (last.by, last.why) == ("retrain", "retrained on 60 labels and passed the gate")
    [run] = (state / "retrain").iterdir()
    assert sorted(path.name for path in run.iterdir()) == ["gate.json", "outcome.json", "snapshot.jsonl"]


def test_what_was_refused_is_kept_and_does_not_serve(
    retrain: Retrain, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(state, 60)
    monkeypatch.setenv("SCRIPTED_PASSED", "0")
    result = retrain()
    [run] = (state / "retrain").iterdir()
    assert result.exit_code == 3
    assert f"Refused: as told. The candidate and gate.md are kept in {run / 'candidate'}." in result.stdout
    assert Bundles(state).names() == []
    assert Bundles(state).install(run / "candidate").startswith("m1-")


def test_a_candidate_without_a_report_is_not_taken(
    retrain: Retrain, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_UNJUDGED", "1")
    result = retrain("--now")
    assert (result.exit_code, "no report of the gate" in result.stderr) == (2, True)
    assert Bundles(state).names() == []


def test_people_may_be_asked_first(retrain: Retrain, state: Path) -> None:
    result = retrain("--now", "--set", "retrain.activate=ask")
    [name] = Bundles(state).names()
    assert (result.exit_code, Bundles(state).link()) == (0, None)
    assert f"`spamfilter model activate {name}` lets it serve" in result.stdout


def test_a_named_model_goes_on_serving(retrain: Retrain, state: Path, tmp_path: Path) -> None:
    result = retrain("--now", "--set", f"model.bundle={make(tmp_path / 'own', 7)}")
    assert (result.exit_code, Bundles(state).link()) == (0, None)
    assert "but model.bundle names" in result.stdout


@pytest.mark.parametrize(("activate", "kept"), [("auto", {"m4", "m1"}), ("ask", {"m4", "m3", "m1"})])
def test_old_models_go_when_a_new_one_is_installed(
    retrain: Retrain, state: Path, tmp_path: Path, activate: str, kept: set[str]
) -> None:
    bundles = Bundles(state, check=is_whole)
    for number in range(2, 5):
        bundles.activate(bundles.install(make(tmp_path / str(number), number)), "", "ann")
    assert retrain("--now", "--set", f"retrain.activate={activate}", "--set", "model.keep=2").exit_code == 0
    assert {name.partition("-")[0] for name in bundles.names()} == kept
    assert (bundles.path(bundles.before()[0])).is_dir()


def test_few_labels_are_not_worth_it(retrain: Retrain, state: Path) -> None:
    label(state, 12)
    result = retrain()
    assert (result.exit_code, result.stdout) == (
        4, "12 labels yet; it is worth it from 50 (--now trains all the same)\n"
    )  # fmt: skip
    assert retrain("--now").exit_code == 0


def test_only_labels_since_the_last_training_count(
    retrain: Retrain, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = datetime.now(UTC) - timedelta(days=30)
    label(state, 55, time=early)
    monkeypatch.setenv("SCRIPTED_UNTIL", early.isoformat())
    assert retrain().exit_code == 0
    label(state, 3, begin=100)
    result = retrain()
    assert (result.exit_code, "3 labels since the last training" in result.stdout) == (4, True)


def test_the_schedule_is_silent_until_it_is_due(retrain: Retrain, state: Path) -> None:
    assert (retrain("--schedule").exit_code, retrain("--schedule").output) == (0, "")
    label(state, 60)
    assert "It serves now" in retrain("--schedule").stdout
    label(state, 60, begin=100)
    quiet = retrain("--schedule")  # labels there are, but a week has not passed
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert retrain("--schedule", "--set", "retrain.every_days=0.000001").stdout != ""


def test_a_dry_run_installs_and_keeps_nothing(retrain: Retrain, state: Path) -> None:
    result = retrain("--now", "--dry-run")
    assert (result.exit_code, "a dry run" in result.stdout) == (0, True)
    assert Bundles(state).names() == []
    assert [*(state / "retrain").iterdir()] == []


def test_one_at_a_time_and_it_says_who(retrain: Retrain, state: Path) -> None:
    with Runs(state).alone():
        result = retrain("--now")
        assert result.exit_code == 2
        assert f"another retraining is running (process {os.getpid()}, since " in result.stderr
        scheduled = retrain("--schedule")
        assert (scheduled.exit_code, scheduled.output) == (0, "")
    assert retrain("--now").exit_code == 0


def test_the_trainers_error_is_told(retrain: Retrain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTED_ERROR", "there are no corrections")
    result = retrain("--now")
    assert (result.exit_code, result.stderr) == (2, "error: there are no corrections\n")


def test_the_trainer_is_confined(
    retrain: Retrain, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_SAY", str(tmp_path / "said.json"))
    url = f"sqlite:///{tmp_path}/elsewhere.sqlite3"
    assert retrain("--now", "--force", "--set", f"store.url={url}").exit_code == 0
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["nice"] >= os.nice(0) + min(command.NICENESS, 19 - os.nice(0))
    assert (said["data"], said["threads"], said["store"]) == (4096 * 1024 * 1024, "1", url)
    assert said["lock"] is True  # while the trainer lives, nobody else begins
    assert url not in said["argv"] and "--force" in said["argv"]
    assert said["argv"][said["argv"].index("--budget") + 1] == "0.005"


def test_thresholds_that_are_set_are_handed_on(
    retrain: Retrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_SAY", str(tmp_path / "said.json"))
    assert retrain("--now", "--dry-run").exit_code == 0
    argv = json.loads((tmp_path / "said.json").read_text())["argv"]
    assert "--spam-at" not in argv and "--unsure-at" not in argv
    assert retrain("--now", "--set", "policy.spam_at=0.97", "--set", "policy.unsure_at=0.6").exit_code == 0
    argv = json.loads((tmp_path / "said.json").read_text())["argv"]
    assert [argv[argv.index(name) + 1] for name in ("--spam-at", "--unsure-at")] == ["0.97", "0.6"]


def test_a_run_and_a_network_are_handed_on_with_room_for_torch(
    retrain: Retrain, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_SAY", str(tmp_path / "said.json"))
    monkeypatch.chdir(tmp_path)
    assert retrain("--now", "--dry-run", "--network", "lora", "--run", "runs/ours").exit_code == 0
    said = json.loads((tmp_path / "said.json").read_text())
    options_ = dict(zip(said["argv"][::2], said["argv"][1::2], strict=True))
    assert (options_["--network"], options_["--run"]) == ("lora", str(tmp_path / "runs" / "ours"))
    assert said["data"] == command.WITH_RUN_MIB * 1024 * 1024
    assert retrain("--now", "--dry-run").exit_code == 0
    said = json.loads((tmp_path / "said.json").read_text())
    assert "--run" not in said["argv"] and said["data"] == 4096 * 1024 * 1024


def test_more_memory_than_a_run_wants_stays_and_no_limit_stays_none() -> None:
    with_run, without = command.Learning("lora", Path("run")), command.Learning()
    assert [with_run.memory_mib(configured) for configured in (4096, 16384, 0)] == [8192, 16384, 0]
    assert [without.memory_mib(configured) for configured in (4096, 0)] == [4096, 0]


def test_progress_and_outcome_as_json(retrain: Retrain) -> None:
    lines = [json.loads(line) for line in retrain("--now", "--json").stdout.splitlines()]
    assert lines[0] == {"step": "labels", "done": 1, "of": 2, "eta_s": 0.1}
    assert lines[-1]["outcome"]["activated"] is True


def test_old_runs_go_and_refused_candidates_before_them(state: Path) -> None:
    runs = Runs(state)
    now = datetime.now(UTC)
    for number in range(KEPT + 5):
        folder = runs.folder / f"20260101T0000{number:02d}"
        (folder / "candidate").mkdir(parents=True)
        runs.finish(folder, Outcome(now, None, number, "m", "b", False, "Refused.", None, False))
    (runs.folder / "20260101T000099").mkdir()  # a killed one
    (runs.folder / "notes").mkdir()  # somebody's own
    runs.sweep()
    left = sorted(path.name for path in runs.folder.iterdir())
    assert left == [*(f"20260101T0000{number:02d}" for number in range(5, KEPT + 5)), "notes"]
    assert len([*runs.folder.glob("*/candidate")]) == CANDIDATES_KEPT
    last = runs.last()
    assert last is not None and last.labels == KEPT + 4


def test_the_lock_is_held_while_the_trainer_lives(state: Path) -> None:
    with Runs(state).alone() as lock:
        child = subprocess.Popen(["sleep", "30"], pass_fds=(lock,))
    try:
        with (state / "retrain.lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        child.kill()
        child.wait()


def test_the_real_trainer_and_the_shipped_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    raws, spam = site.mails(60, 3)
    state.mkdir()
    with LabelStore(store_url("", state)) as store:
        for raw, is_spam in zip(raws, spam.tolist(), strict=True):
            example = Example(content_hash(raw), Kind.MAIL, extract(raw), len(raw), raw)
            store.record(example, Label.SPAM if is_spam else Label.HAM, Provenance("ann", "a test"))
    (state / "golden" / "must-stay-ham").mkdir(parents=True)
    (state / "golden" / "must-stay-ham" / "boss.eml").write_bytes(raws[0])  # the first is ham
    monkeypatch.setattr(options, "SYSTEM_CONFIG", tmp_path / "none.yaml")
    monkeypatch.delenv(options.CONFIG_VARIABLE, raising=False)
    with restored():
        result = CliRunner().invoke(command.retrain, ["--state-dir", str(state), "--force"])
    assert result.exit_code == 0, result.output
    bundles = Bundles(state)
    name = bundles.link()
    assert name is not None and name.startswith("retrained-")
    gate = json.loads((bundles.path(name) / "gate.json").read_text())
    assert [one["name"] for one in gate["singles"] if one["set"] == "must stay ham"] == ["boss.eml"]
    assert "Message-ID" not in "".join(path.read_text() for path in (state / "retrain").rglob("*.json*"))


@pytest.mark.timeout(120)
def test_a_kill_at_any_instant_leaves_nothing_half(tmp_path: Path) -> None:
    rounds = 60
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.retrain_process", str(tmp_path), str(rounds), "4"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    left = json.loads(done.stdout)
    assert sum(left.values()) == rounds
    assert left["half a run"], left  # kills did fall into the work; how many, the machine decides
