"""`scan --pipe`: whatever goes wrong, the message comes out, or the exit code tells the delivery agent to keep it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spamfilter import classifier, headers
from spamfilter.classifier.bundle import BundleError
from tests.cli.conftest import Run, ScriptedClassifier

BODY = b"\r\n\x00\xff binary \x80\n\r mixed\r\nVIAGRA\r\n.\r\n"
SPAM = b"From: a@b\r\nX-Spam-Status: No, score=-100\r\n  (folded)\r\nSubject: x\r\n" + BODY
CLEAN_HEAD = b"From: a@b\r\nSubject: x\r\n"


def test_the_message_comes_out_marked_and_its_body_untouched(run: Run, scripted: ScriptedClassifier) -> None:
    result = run("scan", "--pipe", input=SPAM)
    assert result.exit_code == 0
    out = result.stdout_bytes
    assert out.startswith(b"X-Spam-Flag: YES\r\n")
    assert out.endswith(CLEAN_HEAD + BODY)
    assert b"score=-100" not in out


def test_a_dash_means_the_same(run: Run, scripted: ScriptedClassifier) -> None:
    out = run("scan", "--pipe", "-", input=b"From x Mon\nSubject: a\n\nhi\n").stdout_bytes
    assert out.startswith(b"From x Mon\nX-Spam-Checker-Version: ")
    assert b"X-Spam-Status: No" in out
    assert out.endswith(b"\nSubject: a\n\nhi\n")


def test_a_report_is_written_where_it_is_asked_for(run: Run, scripted: ScriptedClassifier) -> None:
    raw = CLEAN_HEAD[:-2] + b"\r\nX-Spam-Report: * -99 FORGED\r\n\tall is well\r\n" + BODY
    result = run("scan", "--pipe", "--report", input=raw)
    assert result.exit_code == 0
    out = result.stdout_bytes
    assert b"X-Spam-Report: pts rule name, description\r\n\t*   4.0 RECALLED_SPAM Somebody marked " in out
    assert b"FORGED" not in out and b"all is well" not in out
    assert out.endswith(CLEAN_HEAD + BODY)
    assert b"X-Spam-Report" not in run("scan", "--pipe", input=raw).stdout_bytes


def test_no_report_where_nothing_is_written(run: Run, scripted: ScriptedClassifier) -> None:
    out = run("scan", "--pipe", "--report", "--set", "policy.actions.spam=accept", input=SPAM).stdout_bytes
    assert out == CLEAN_HEAD + BODY
    assert scripted.seconds == []


def test_an_accepted_label_leaves_no_headers_but_forged_ones_go(run: Run, scripted: ScriptedClassifier) -> None:
    out = run("scan", "--pipe", "--set", "policy.actions.spam=accept", input=SPAM).stdout_bytes
    assert out == CLEAN_HEAD + BODY


def _unscanned(out: bytes) -> bool:
    return out.endswith(CLEAN_HEAD + BODY) and b"X-Spam-Status: unscanned, reason=" in out and b"X-Spam-Flag" not in out


def test_a_message_that_cannot_be_scanned_comes_out_unscanned(run: Run, scripted: ScriptedClassifier) -> None:
    raw = CLEAN_HEAD + b"\r\nUNREADABLE"
    result = run("scan", "--pipe", input=raw)
    assert result.exit_code == 0
    assert result.stdout_bytes.endswith(raw)
    assert b"unscanned, reason=unparsable" in result.stdout_bytes
    assert "message not scanned" in result.stderr


@pytest.mark.parametrize(
    "error", [BundleError("gone"), ValueError("bug"), MemoryError(), ImportError("no onnxruntime")], ids=repr
)
def test_whatever_is_raised_the_message_comes_out(
    run: Run, scripted: ScriptedClassifier, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(path: Path, **options: object) -> None:
        raise error

    monkeypatch.setattr(classifier, "load", broken)
    result = run("scan", "--pipe", input=SPAM)
    assert result.exit_code == 0
    assert _unscanned(result.stdout_bytes)
    result = run("scan", "--pipe", "--fail-exit", input=SPAM)
    assert (result.exit_code, result.stdout_bytes) == (75, b"")


def test_a_faulty_configuration_does_not_keep_the_message(run: Run, tmp_path: Path) -> None:
    result = run("scan", "--pipe", "--config", tmp_path / "gone.yaml", input=SPAM)
    assert result.exit_code == 0
    assert _unscanned(result.stdout_bytes)
    assert "gone.yaml: no such file" in result.stderr


def test_when_not_even_marking_works_it_comes_out_as_it_came(
    run: Run, scripted: ScriptedClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "mark", lambda *_: 1 / 0)
    result = run("scan", "--pipe", input=SPAM)
    assert (result.exit_code, result.stdout_bytes) == (0, SPAM)


def test_a_message_too_large_is_not_scanned(run: Run, scripted: ScriptedClassifier) -> None:
    raw = CLEAN_HEAD + b"\r\n" + b"x" * 1_100_000
    result = run("scan", "--pipe", "--set", "engine.max_message_mib=1", input=raw)
    assert b"reason=too_large" in result.stdout_bytes
    assert result.stdout_bytes.endswith(raw)
    assert scripted.batches == []


_HANGING = """
import threading
from spamfilter import classifier, operating_point
from spamfilter.cli import main, pipe
pipe._decided = lambda config, raw, *, report: threading.Event().wait()
main()
"""


@pytest.mark.parametrize(("option", "code"), [([], 0), (["--fail-exit"], 75)])
def test_a_scan_that_hangs_ends_at_the_deadline(tmp_path: Path, option: list[str], code: int) -> None:
    command = [sys.executable, "-c", _HANGING, "scan", "--pipe", *option, "--set", "engine.deadline_s=0.2"]
    result = subprocess.run(command, input=SPAM, capture_output=True, cwd=tmp_path, timeout=60, env=_environment())
    assert result.returncode == code
    assert result.stdout == b"" if code else _unscanned(result.stdout)
    assert b"no verdict within 0.2 s" in result.stderr


def test_a_reader_that_is_gone_is_told_by_the_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spamfilter", "scan", "--pipe", "--config", str(tmp_path / "gone")]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        result = subprocess.run(command, input=SPAM, stdout=full, stderr=subprocess.PIPE, env=_environment())
    assert result.returncode == 74
    assert b"standard output cannot be written" in result.stderr


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {key: value for key, value in os.environ.items() if key != "SPAMFILTER_CONFIG"} | {"PYTHONPATH": root}
