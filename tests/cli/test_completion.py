"""`completion`: what it prints is taken by the shell, and completes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from spamfilter.cli.completion import completion
from tests.conftest import absent


def _script(shell: str) -> str:
    result = CliRunner().invoke(completion, [shell])
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize(
    ("shell", "asks"), [("bash", "bash_complete"), ("zsh", "zsh_complete"), ("fish", "fish_complete")]
)
def test_it_asks_the_command_itself(shell: str, asks: str) -> None:
    script = _script(shell)
    assert f"_SPAMFILTER_COMPLETE={asks}" in script
    assert "spamfilter" in script


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_read_it(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        absent(f"no {shell} here", "SPAMFILTER_REQUIRE_SERVERS")
    file = tmp_path / "completion"
    file.write_text(_script(shell))
    checked = subprocess.run([shell, "-n", file], capture_output=True, text=True, timeout=30)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_another_shell_is_said() -> None:
    result = CliRunner().invoke(completion, ["tcsh"])
    assert result.exit_code == click.UsageError.exit_code
    assert "'bash', 'zsh', 'fish'" in result.stderr
