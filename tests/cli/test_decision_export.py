"""`decisions export` and `list --csv`: everything, in order, and nothing that a spreadsheet would calculate."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from spamfilter.message import Envelope, Message
from spamfilter.policy import Policy, decide
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from tests.cli.conftest import Run
from tests.fakes import THRESHOLDS, score

FORMULA = "=cmd|' /C calc'!A0@example.org"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state_dir with three decisions."""
    store = DecisionStore(store_url("", tmp_path))
    store.open()
    for id_, probability, sender in (("aa1", 0.01, FORMULA), ("ab2", 0.99, 'quoted", line\n'), ("ac3", 0.6, "")):
        message = Message(b"x", "smtp", Envelope(sender, ("bob@example.net", "eve@example.net")), id=id_)
        store.record(message, decide(id_, score(probability), Policy(THRESHOLDS)))
        store.flush()
    store.close()
    return tmp_path


def test_json_lines_on_standard_output(run: Run, state: Path) -> None:
    result = run("decisions", "export", "--state-dir", state)
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["ac3", "ab2", "aa1"]
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("command", [("export", "-"), ("list",)])
def test_csv_comes_back_as_it_was_but_for_formulas(run: Run, state: Path, command: tuple[str, ...]) -> None:
    result = run("decisions", *command, "--csv", "--state-dir", state)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["id"] for row in rows] == ["ac3", "ab2", "aa1"]
    assert [row["mail_from"] for row in rows] == ["", 'quoted", line\n', f"'{FORMULA}"]
    assert rows[0]["rcpt_tos"] == "bob@example.net eve@example.net"
    assert float(rows[1]["probability"]) == 0.99


def test_filters_hold_for_files_too(run: Run, state: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    result = run("decisions", "export", file, "--label", "spam", "--text", "EVE@", "--state-dir", state)
    assert result.stdout == f"wrote 1 decisions to {file}\n"
    assert json.loads(file.read_text())["id"] == "ab2"


def test_a_file_that_is_there_is_never_replaced(run: Run, state: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("mine")
    result = run("decisions", "export", "--csv", file, "--state-dir", state)
    assert (result.exit_code, file.read_text()) == (2, "mine")
    assert "is there already; name a new file" in result.stderr


@pytest.mark.parametrize("command", [("export",), ("list",), ("list", "--json")])
def test_nothing_found_is_exit_code_1(run: Run, state: Path, command: tuple[str, ...]) -> None:
    assert run("decisions", *command, "--sender", "nobody", "--state-dir", state).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--recipient", "eve"], ["ac3", "ab2", "aa1"]),
        (["--recipient", "quoted"], []),
        (["--text", "aa"], ["aa1"]),
        (["--sender", "<>"], ["ac3"]),
        (["--least", "0.5", "--most", "0.7"], ["ac3"]),
        (["--model", "fake-1", "--action", "tag"], ["ac3", "ab2", "aa1"]),
        (["--model", "other"], []),
    ],
)
def test_filters(run: Run, state: Path, arguments: list[str], ids: list[str]) -> None:
    lines = run("decisions", "list", "--json", "--state-dir", state, *arguments).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids
