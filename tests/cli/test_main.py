"""The command as a whole: quick to answer, and clear about what it does not know."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from spamfilter import __version__
from spamfilter.cli import main
from tests.cli.conftest import Run

_HEAVY = (
    "onnxruntime",
    "numpy",
    "sqlalchemy",
    "alembic",
    "pydantic",
    "yaml",
    "rich",
    "structlog",
    "asyncio",
    "aiosmtpd",
)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from spamfilter.cli import main; main(['--help'], standalone_mode=False);"
        f"print('loaded:', [name for name in {_HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Commands:" in result.stdout
    assert result.stdout.splitlines()[-1] == "loaded: []"


def test_the_version(run: Run) -> None:
    assert run("--version").stdout == f"spamfilter {__version__}\n"


def test_python_dash_m_is_the_same_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "spamfilter", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"spamfilter {__version__}\n"


def test_training_runs_the_trainer_as_a_process_of_its_own() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "spamfilter", "train", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: python -m trainer" in shown.stdout and "pretrain" in shown.stdout
    refused = subprocess.run(
        [sys.executable, "-m", "spamfilter", "train", "finetune", "--set", "nonsense"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2 and "KEY=VALUE" in refused.stderr


def test_training_without_the_trainers_libraries_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spamfilter.cli import train

    monkeypatch.setattr(train, "find_spec", lambda name: None)
    refused = run("train", "data")
    assert refused.exit_code == 2 and "pip install -c constraints.txt" in refused.stderr


def test_an_unknown_command_is_said(run: Run) -> None:
    result = run("sacn")
    assert result.exit_code == 2
    assert "No such command 'sacn'" in result.stderr


def test_a_bug_keeps_its_trace(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def broken() -> None:
        raise KeyError("a bug")

    monkeypatch.setitem(main.commands, "broken", broken)
    with pytest.raises(KeyError, match="a bug"):
        run("broken")
