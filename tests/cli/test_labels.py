"""`labels`: what was taught can be seen, carried, taken back and sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spamfilter.store.database import SQLITE_NAME
from spamfilter.verdict import Label
from tests.cli.conftest import Run
from tests.cli.test_learn import mails, model, state
from tests.learners import Model, content, kept, mail, memories, remembered

HAM, SPAM = Label.HAM, Label.SPAM

__all__ = ["mails", "model", "state"]


@pytest.fixture
def taught(run: Run, model: Model, state: Path, mails: Path) -> Path:
    """A state_dir with two spam by alice and two ham by bob."""
    (mails / "9.eml").write_bytes(mail(9, subject="evil\x1b[2J").raw)
    run("learn", "--spam", mails / "0.eml", mails / "1.eml", "--state-dir", state)
    run("learn", "--ham", "--who", "bob", mails / "2.eml", mails / "9.eml", "--state-dir", state)
    return state


def test_the_list_is_a_table_without_control_characters(run: Run, taught: Path) -> None:
    result = run("labels", "list", "--state-dir", taught)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert content(mail(0))[:12] in result.stdout
    assert "number 2" in result.stdout and "alice" in result.stdout and "0.2500" in result.stdout
    assert result.stdout.endswith("kept: 2 spam, 2 ham (by alice 2, bob 2)\n")


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], [2, 1, 0]),
        (["--label", "spam"], [1, 0]),
        (["--who", "bob"], [2]),
        (["--since", "1h"], [2, 1, 0]),
        (["--since", "2999-01-01"], []),
        (["--label", "spam", "--limit", "1"], [1]),
    ],
)
def test_the_list_as_json(run: Run, taught: Path, arguments: list[str], numbers: list[int]) -> None:
    lines = run("labels", "list", "--json", *arguments, "--state-dir", taught).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["content"] for row in rows if row["subject"].startswith("number")] == [
        content(mail(number)) for number in numbers
    ]
    assert all({"label", "time", "who", "how", "channel", "extraction", "model"} <= set(row) for row in rows)


def test_no_labels_yet(run: Run, tmp_path: Path) -> None:
    result = run("labels", "list", "--state-dir", tmp_path / "none")
    assert result.exit_code == 2
    assert "there are no labels yet; `spamfilter learn` takes them" in result.stderr
    assert not (tmp_path / "none").exists()


def test_an_empty_list(run: Run, model: Model, state: Path, mails: Path) -> None:
    run("learn", "--spam", mails / "0.eml", "--state-dir", state)
    run("learn", "--forget", mails / "0.eml", "--state-dir", state)
    assert run("labels", "list", "--state-dir", state).stdout == "no labels found\nkept: 0 spam, 0 ham\n"


def test_undo_and_forget_by_hash(run: Run, taught: Path) -> None:
    one = content(mail(0))
    result = run("labels", "undo", one[:8], "--state-dir", taught)
    assert result.stdout == f"took back {one[:12]} (was spam, no label now)\n"
    result = run("labels", "undo", one[:8], "--state-dir", taught)
    assert (result.exit_code, result.stderr.splitlines()[0][:30]) == (2, "error: nothing labelled begins")
    two, nine = content(mail(2)), content(mail(9, subject="evil\x1b[2J"))
    result = run("labels", "forget", two[:10], nine, "--state-dir", taught)
    assert result.stdout.splitlines()[0] == f"forgot {two[:12]} (was ham, no label now)"
    assert remembered(taught) == kept(taught) == {content(mail(1)): SPAM}


def test_a_wrong_hash_forgets_nothing(run: Run, taught: Path) -> None:
    before = kept(taught)
    result = run("labels", "forget", content(mail(0)), "ffffffffff", "--state-dir", taught)
    assert result.exit_code == 2
    assert kept(taught) == before


def test_export_and_import(run: Run, taught: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    assert run("labels", "export", out, "--state-dir", taught).stdout == f"wrote 4 lines to {out}\n"
    assert out.stat().st_mode & 0o777 == 0o600
    result = run("labels", "export", out, "--state-dir", taught)
    assert (result.exit_code, result.stderr) == (2, f"error: {out}: exists already; give another name\n")
    elsewhere = tmp_path / "elsewhere"
    result = run("labels", "import", out, "--state-dir", elsewhere)
    assert (result.exit_code, result.stdout) == (0, "4 new, 0 changed, 0 forgotten, 0 known already\n")
    assert remembered(elsewhere) == kept(elsewhere) == kept(taught)
    piped = run("labels", "export", "-", "--state-dir", taught).stdout_bytes
    assert piped == out.read_bytes()
    result = run("labels", "import", "-", "--state-dir", elsewhere, input=piped + b"nonsense\n")
    assert (result.exit_code, result.stdout) == (
        1,
        "0 new, 0 changed, 0 forgotten, 4 known already, 1 lines left out\n",
    )
    assert "line 5: " in result.stderr


def test_a_file_to_import_that_is_missing(run: Run, model: Model, state: Path, tmp_path: Path) -> None:
    result = run("labels", "import", tmp_path / "none", "--state-dir", state)
    assert (result.exit_code, result.stderr) == (2, f"error: {tmp_path}/none: No such file or directory\n")


def test_prune(run: Run, taught: Path) -> None:
    memories(taught)[-1].unlink()
    assert run("labels", "prune", "--state-dir", taught).stdout == "0 examples deleted\n"
    assert remembered(taught) == kept(taught)


def test_the_key_seals_what_is_there_and_what_comes(run: Run, taught: Path, mails: Path) -> None:
    pytest.importorskip("cryptography")
    result = run("labels", "key", "--state-dir", taught)
    assert (result.exit_code, result.stdout) == (0, f"made {taught}/labels.key; 4 examples sealed\n")
    run("learn", "--spam", mails / "3.eml", "--state-dir", taught)
    assert "number 3" in run("labels", "list", "--state-dir", taught).stdout
    assert run("labels", "key", "--state-dir", taught).stdout == f"kept {taught}/labels.key; 0 examples sealed\n"
    (taught / "labels.key").rename(taught / "elsewhere.key")
    result = run("labels", "list", "--state-dir", taught)
    assert result.exit_code == 2
    assert "is sealed, and there is no key file" in result.stderr
    assert (taught / SQLITE_NAME).exists()
