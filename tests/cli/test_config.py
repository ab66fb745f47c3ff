"""`config`, and where a configuration is looked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from spamfilter import config
from spamfilter.cli import options
from tests.cli.conftest import Run


def _sessions(run: Run, *arguments: str | Path) -> int:
    result = run("config", "show", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return int(json.loads(result.stdout)["smtp"]["max_sessions"])


def _file(path: Path, sessions: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"smtp: {{max_sessions: {sessions}}}\n")
    return path


def test_the_nearest_file_counts(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _sessions(run) == 200
    _file(options.SYSTEM_CONFIG, 1)
    assert _sessions(run) == 1
    monkeypatch.setenv(options.CONFIG_VARIABLE, str(_file(tmp_path / "variable.yaml", 2)))
    assert _sessions(run) == 2
    given = _file(tmp_path / "given.yaml", 3)
    assert _sessions(run, "--config", given) == 3
    assert _sessions(run, "--config", given, "--set", "smtp.max_sessions=4") == 4


def test_what_show_prints_reads_back_to_the_same(run: Run, tmp_path: Path) -> None:
    arguments = ("--set", "smtp.next_hop=[::1]:26", "--set", "smtp.listen=unix:/run/s", "--state-dir", tmp_path / "s")
    result = run("config", "show", *arguments)
    assert result.exit_code == 0
    printed = result.stdout
    (tmp_path / "again.yaml").write_text(printed)
    expected = config.load(
        environ={}, smtp__next_hop="[::1]:26", smtp__listen="unix:/run/s", state_dir=str(tmp_path / "s")
    )
    assert config.load(tmp_path / "again.yaml", environ={}) == expected
    assert yaml.safe_load(printed)["smtp"]["next_hop"] == "[::1]:26"


def test_show_can_explain_the_defaults(run: Run) -> None:
    printed = run("config", "show", "--defaults").stdout
    assert "# The share of ham that may be called spam" in printed
    assert yaml.safe_load(printed) == config.defaults()


def test_check_passes_what_is_right(run: Run, tmp_path: Path) -> None:
    path = _file(tmp_path / "good.yaml", 5)
    assert run("config", "check", path).stdout == f"{path}: no mistakes found\n"
    assert run("config", "check").stdout == "built-in defaults: no mistakes found\n"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["bad.yaml"], "error: bad.yaml: unknown key smtp.max_session; did you mean smtp.max_sessions?\n"),
        (["gone.yaml"], "error: gone.yaml: no such file\n"),
        (["--set", "smtp"], "error: --set smtp: write it as key=value, for example smtp.listen=127.0.0.1:10025\n"),
        (["--set", "smtp.listn=x"], "error: --smtp.listn: unknown key smtp.listn; did you mean smtp.listen?\n"),
    ],
)
def test_mistakes_are_one_line_and_no_trace(run: Run, tmp_path: Path, arguments: list[str], answer: str) -> None:
    (tmp_path / "bad.yaml").write_text("smtp: {max_session: 1}\n")
    result = run("config", "check", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", answer)
