"""Trainings as processes: one at a time, found again by another console, stopped with all their children."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from spamfilter.console.training import NICENESS, Job, Training, TrainingError

COMMAND = (sys.executable, "-m", "tests.console.slow_trainer")
_PATIENCE_S = 30.0


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    made = Training(tmp_path)
    yield made
    job = made.current()
    if job is not None and job.running:
        made.stop("the test")
        until(lambda: not ended(made).running)


def ended(training: Training) -> Job:
    job = training.current()
    assert job is not None
    return job


def begin(training: Training, tmp_path: Path, *more: str) -> Job:
    return training.start("pretrain", (*COMMAND, str(tmp_path / "run"), *more), by="ann", folder=tmp_path / "run")


def test_none_was_begun_yet(training: Training) -> None:
    assert training.current() is None
    assert training.tail() == ""
    with pytest.raises(TrainingError, match="no training is running"):
        training.stop("ann")


def test_it_runs_at_low_priority_and_is_stopped_with_its_children(training: Training, tmp_path: Path) -> None:
    job = begin(training, tmp_path)
    until(lambda: "logged" in training.tail())
    leader = psutil.Process(job.group)
    until(lambda: bool(leader.children()))
    assert leader.nice() == NICENESS
    (child,) = leader.children()
    assert ended(training).sentence == "is running"
    training.stop("bob")
    until(lambda: not ended(training).running)
    assert ended(training).sentence == "was stopped by bob"
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_there_is_one_at_a_time(training: Training, tmp_path: Path) -> None:
    begin(training, tmp_path)
    for other in (training, Training(tmp_path)):
        with pytest.raises(TrainingError, match="another training is running"):
            begin(other, tmp_path)


def test_another_console_finds_it_again_and_stops_it(training: Training, tmp_path: Path) -> None:
    begin(training, tmp_path)
    until(lambda: "logged" in training.tail())
    other = Training(tmp_path)
    found = ended(other)
    assert (found.running, found.step, found.by) == (True, "pretrain", "ann")
    other.stop("bob")
    until(lambda: not ended(other).running)


def test_a_killed_leader_is_no_end_while_its_child_lives(training: Training, tmp_path: Path) -> None:
    job = begin(training, tmp_path)
    leader = psutil.Process(job.group)
    until(lambda: bool(leader.children()))
    leader.kill()
    until(lambda: leader.status() == psutil.STATUS_ZOMBIE)
    assert ended(training).running
    training.stop("ann")
    until(lambda: not ended(training).running)


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [("--done", 0, "is done"), ("--fail", 3, "ended with exit code 3; its log says why")],
)
def test_how_it_ended_is_kept(training: Training, tmp_path: Path, more: str, code: int, sentence: str) -> None:
    begin(training, tmp_path, more)
    until(lambda: not ended(training).running)
    assert (ended(training).code, ended(training).sentence) == (code, sentence)
    assert ended(Training(tmp_path)).code == code
    begin(training, tmp_path, "--done")


def test_what_ends_while_nobody_watches_is_said_to_have(training: Training, tmp_path: Path) -> None:
    begin(training, tmp_path, "--done")
    until(lambda: not ended(Training(tmp_path)).running)
    assert "while the console was away" in ended(Training(tmp_path)).sentence


def test_a_command_that_is_not_there_is_an_error_for_people(training: Training) -> None:
    with pytest.raises(TrainingError, match=r"/no/such: No such file.* it was not started"):
        training.start("pretrain", ("/no/such",), by="ann")
    assert training.current() is None


def test_a_long_log_is_cut_at_a_line(training: Training, tmp_path: Path) -> None:
    training.folder.mkdir(parents=True)
    (training.folder / "job.log").write_text("".join(f"line {number} of many\n" for number in range(5000)))
    lines = training.tail().splitlines()
    assert lines[-1] == "line 4999 of many"
    assert 100 < len(lines) < 5000
    assert all(line.startswith("line ") for line in lines)


@pytest.mark.parametrize("written", ["", "{", "[]", '{"step": 1}', "null"])
def test_a_damaged_note_is_none(training: Training, written: str) -> None:
    training.folder.mkdir(parents=True)
    (training.folder / "job.json").write_text(written)
    assert training.current() is None


def test_its_files_are_its_own(training: Training, tmp_path: Path) -> None:
    begin(training, tmp_path, "--done")
    assert (training.folder / "job.log").stat().st_mode & 0o077 == 0
    until(lambda: not ended(training).running)
