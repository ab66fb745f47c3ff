"""The child on its own: frames in, frames out, whatever the classifier does, and no life after its parent's."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spamfilter.classifier.examined import Examined
from spamfilter.engine import frames, worker
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Score
from tests.engine import scripted


def launch(bundle: Path, *options: str, factory: str = scripted.FACTORY) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "spamfilter.engine.worker", "--bundle", str(bundle), "--factory", factory]
    return subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def batch(*bodies: bytes) -> bytes:
    last = len(bodies) - 1
    return b"".join(frames.encode_message(n, Message(body, "cli"), last=n == last) for n, body in enumerate(bodies))


def finish(child: subprocess.Popen[bytes], data: bytes) -> tuple[list[frames.Frame], str]:
    out, err = child.communicate(data, timeout=30)
    return frames.Decoder().feed(out), err.decode()


def test_says_ready_answers_and_ends_with_its_input(tmp_path: Path) -> None:
    child = launch(tmp_path)
    (ready, *answers), _ = finish(child, batch(b"one", b"two") + batch(b"three"))
    assert ready.header["model"] == "scripted-1" and ready.header["load_s"] >= 0
    assert [frames.decode_answer(frame)[0] for frame in answers] == [0, 1, 0]
    assert child.returncode == 0


def test_scores_and_examines_in_one_batch(tmp_path: Path) -> None:
    asked = [(b"one", False), (b"two", True), (b"RAISE", True), (b"three", False)]
    data = b"".join(
        frames.encode_message(
            n, Message(body, "cli"), last=n == 3, ask=frames.Ask.EXAMINE if whole else frames.Ask.SCORE
        )
        for n, (body, whole) in enumerate(asked)
    )
    (_, *answers), _ = finish(launch(tmp_path), data)
    found = [frames.decode_answer(frame) for frame in answers]
    assert [number for number, _ in found] == [0, 1, 2, 3]
    assert [type(outcome) for _, outcome in found] == [Score, Examined, Failure, Score]
    assert isinstance(found[1][1], Examined) and found[1][1].document.text == "two"
    assert isinstance(found[3][1], Score) and found[3][1].stages["place"] == 1  # of the two that were scored


def test_prints_cannot_corrupt_the_frames(tmp_path: Path) -> None:
    (_, answer), err = finish(launch(tmp_path), batch(b"PRINT"))
    assert isinstance(frames.decode_answer(answer)[1], Score)
    assert "corrupt" in err


def test_a_bundle_that_cannot_be_loaded_is_told_in_a_frame(tmp_path: Path) -> None:
    (tmp_path / "bad").touch()
    child = launch(tmp_path)
    (failed,), err = finish(child, b"")
    assert failed.header == {"failed": "ValueError: weights.onnx: hash differs"}
    assert child.returncode == 1 and "Traceback" in err


@pytest.mark.parametrize("name", ["no.such.module:load", "tests.engine.scripted:nothing", "nonsense"])
def test_a_factory_that_is_not_there_is_told_in_a_frame(tmp_path: Path, name: str) -> None:
    (failed,), _ = finish(launch(tmp_path, factory=name), b"")
    assert "Error" in failed.header["failed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_go_to_everybody_are_left_to_the_daemon(tmp_path: Path, number: signal.Signals) -> None:
    child = launch(tmp_path)
    assert child.stdout is not None
    ready = frames.read(child.stdout)  # type: ignore[arg-type]
    assert ready is not None
    child.send_signal(number)
    (answer,), _ = finish(child, batch(b"still here"))
    assert isinstance(frames.decode_answer(answer)[1], Score)


def test_a_stray_worker_ends_at_once(tmp_path: Path) -> None:
    child = launch(tmp_path, "--parent", "1")
    found, _ = finish(child, batch(b"never read"))
    assert found == [] and child.returncode == 0


def test_an_end_of_input_within_a_batch_is_an_end(tmp_path: Path) -> None:
    child = launch(tmp_path)
    found, _ = finish(child, frames.encode_message(0, Message(b"x", "cli"), last=False))
    assert len(found) == 1 and child.returncode == 0


def score(*bodies: bytes, classifier: scripted.Scripted | None = None) -> list[Score | Failure]:
    return worker.score(classifier or scripted.Scripted(), [Message(body, "cli") for body in bodies])


def test_only_the_message_at_fault_fails_and_its_text_is_not_told() -> None:
    first, second, third = score(b"fine", b"RAISE\nsecret words", b"fine")
    assert isinstance(first, Score) and isinstance(third, Score)
    assert isinstance(second, Failure) and second.kind is FailureKind.UNPARSABLE
    assert "ValueError at scripted.py:" in second.detail and "secret" not in second.detail


def test_what_is_no_probability_is_a_failure() -> None:
    (outcome,) = score(b"NAN")
    assert outcome == Failure(FailureKind.UNPARSABLE, "the classifier answered nan, not a probability")


def test_failures_of_the_classifier_pass() -> None:
    assert score(b"TOOLARGE") == [Failure(FailureKind.TOO_LARGE, "as told")]


def test_a_wrong_number_of_outcomes_never_shifts_scores_to_other_messages() -> None:
    outcomes = score(b"one", b"two", classifier=scripted.Short())
    assert [type(outcome) for outcome in outcomes] == [Failure, Failure]
