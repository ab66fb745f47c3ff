"""`python -m trainer data`: what each command prints, as text and as JSON, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.trainer.data.made import folder
from tests.trainer.data.small import SOURCES, small_data
from trainer.commands import main
from trainer.data import corpora, prepared


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def json_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data folder; the table is made of what is in it."""
    defaults = {**(prepared.prepare.__kwdefaults__ or {}), "sources": SOURCES, "workers": 1}
    monkeypatch.setattr(prepared.prepare, "__kwdefaults__", defaults)
    return small_data(tmp_path)


def test_list_says_what_is_there_and_where_the_rest_comes_from(data: Path, tmp_path: Path) -> None:
    printed = run("list", "--data-dir", data, "--run", tmp_path / "run")
    assert printed.exit_code == 0
    assert "sms-spam-collection.tsv" in printed.stdout and "https://archive.ics.uci.edu" in printed.stdout
    assert printed.stdout.rstrip().endswith(": none")
    found = json_of(run("list", "--data-dir", data, "--run", tmp_path / "run", "--json"))
    present = {row["file"]: row["present"] for row in found["known"]}
    assert present["spamassassin.tar.xz"] and not present["enron-spam.tar.xz"]
    assert all(row["licence"] and row["origin"] for row in found["known"])


def test_import_reports_keeps_and_lists(data: Path, tmp_path: Path) -> None:
    source = folder(tmp_path, {"a.csv": b"y,body,id\nspam,win,7\nham,hi,8\neggs,x,9\n"})
    columns = ["--text-column", "body", "--label-column", "y", "--id-column", "id"]
    printed = run("import", source, "--format", "csv", "--name", "own", *columns, "--run", tmp_path / "run")
    assert printed.exit_code == 0, printed.output
    assert "a.csv:4: wrong label: 'eggs'" in printed.stdout and "own.jsonl" in printed.stdout
    listed = run("list", "--data-dir", data, "--run", tmp_path / "run")
    assert f"own: 1 ham, 1 spam, 0 unlabelled, 1 bad; from {source} as csv" in listed.stdout
    found = json_of(
        run("import", source, "--format", "csv", "--name", "own", *columns, "--run", tmp_path / "run", "--json")
    )
    assert (found["spam"], found["ham"], found["bad"]) == (1, 1, 1)
    table = json_of(run("describe", "--data-dir", data, "--run", tmp_path / "run", "--json"))
    assert sum(sum(of.values()) for of in table["sources"]["own"]["parts"].values()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "csv", "--name", "own", "--text-column", "txt"], "did you mean 'text'?"),
        (["--format", "csv", "--name", "own", "--strict"], "a.csv:3: wrong label: 'eggs'"),
        (["--format", "csv", "--name", "sms"], "sms is a corpus that the project knows already"),
        (["--format", "mbox", "--name", "own"], "give --label ham, spam or none"),
        (["--format", "cvs", "--name", "own"], "'cvs' is not one of"),
    ],
)
def test_an_import_that_fails_says_why_and_keeps_nothing(arguments: list[str], message: str, tmp_path: Path) -> None:
    source = folder(tmp_path, {"a.csv": b"label,text\nham,hi\neggs,x\n"})
    printed = run("import", source, *arguments, "--run", tmp_path / "run")
    assert printed.exit_code != 0
    assert message in printed.stderr
    assert not list((tmp_path / "run").rglob("*.jsonl"))


def test_import_names_every_format() -> None:
    from trainer.data.importers import FORMATS

    printed = run("import", "--help").stdout
    assert all(f"    {name} " in printed for name in FORMATS)


def test_check_names_files_that_differ(data: Path, tmp_path: Path) -> None:
    printed = run("check", "--data-dir", data, "--run", tmp_path / "run")
    assert printed.exit_code == 1
    assert "differs  sms-spam-collection.tsv" in printed.stdout and "missing  enron-spam.tar.xz" in printed.stdout
    (data / "sms-spam-collection.tsv").write_bytes(b"ham\thi\neggs\tx\n")
    bad = run("check", "--data-dir", data, "--run", tmp_path / "run")
    assert "sms-spam-collection.tsv:2: wrong label: 'eggs'" in bad.stdout
    assert "sms: 1 ham, 0 spam, 0 unlabelled, 1 bad" in bad.stdout
    faults = json.loads(run("check", "--data-dir", data, "--run", tmp_path / "run", "--json").stdout)["faults"]
    assert "sms: 1 bad" in faults and "sms-spam-collection.tsv: differs" in faults
    for file in ("sms-spam-collection.tsv", "spamassassin.tar.xz", "splits/spamassassin-test.tsv"):
        (data / file).unlink()
    assert run("check", "--data-dir", data, "--run", tmp_path / "run").exit_code == 0, "a missing corpus is no fault"


@pytest.mark.corpus
def test_check_finds_the_corpora_good(corpus_dir: Path, tmp_path: Path) -> None:
    found = json_of(run("check", "--data-dir", corpus_dir, "--run", tmp_path, "--json"))
    assert found["faults"] == []
    assert {name: report["rows"] for name, report in found["read"].items()} == {
        name: known.messages for name, known in corpora.LABELLED_FILES.items()
    }


def test_alone_it_extracts_and_describes(data: Path, tmp_path: Path) -> None:
    printed = run("--data-dir", data, "--run", tmp_path / "run")
    assert printed.exit_code == 0, printed.output
    assert "dropped" in printed.stdout and "17 messages, 4 spam" in printed.stdout
    picture = tmp_path / "x.png"
    found = json_of(run("--data-dir", data, "--run", tmp_path / "run", "--json", "describe", "--plot", picture))
    assert found["sources"]["spamassassin"]["parts"]["test"] == {"ham": 0, "spam": 1}
    assert found["sources"]["sms"]["with_headers"] == 0
    assert (found["messages"], found["spam"]) == (17, 4)
    assert found["groups"] == {
        "groups": 7, "of_several": 6, "messages_in_them": 16, "largest": 3, "across_sources": 0, "with_both_labels": 0
    }  # fmt: skip
    assert picture.read_bytes().startswith(b"\x89PNG")
