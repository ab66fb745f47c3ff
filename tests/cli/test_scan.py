"""`scan`: what programs read (--jsonl), what people read (the table), and what is wrong with what was asked."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from spamfilter.classifier.bundle import Bundle
from spamfilter.engine import pool
from spamfilter.verdict import Label, Recall
from tests.cli.conftest import Run, ScriptedClassifier
from tests.engine.scripted import FACTORY

HAM, SPAM, UNSURE = b"Subject: a\n\nhi", b"Subject: b\n\nVIAGRA", b"Subject: c\n\nPERHAPS"


def _write(folder: Path, **files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


def _lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_object_a_path_in_the_order_of_the_paths(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    _write(tmp_path, a=HAM, b=SPAM, c=UNSURE)
    result = run("scan", "--jsonl", "b", "./c", "b", tmp_path / "a")
    assert result.exit_code == 0
    lines = _lines(result)
    assert [line["path"] for line in lines] == ["b", "./c", "b", str(tmp_path / "a")]
    assert [line["verdict"] for line in lines] == ["spam", "unsure", "spam", "ham"]
    assert lines[0] == {
        "path": "b",
        "probability": 0.99,
        "verdict": "spam",
        "scores": {"ngram": 0.99, "gpt": 0.99},
        "model": "scripted-1",
        "ms": 1.5,
    }


def test_a_recall_is_told(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    scripted.recalled = Recall("c", Label.SPAM, 1764000000.0, 0.95)
    _write(tmp_path, a=SPAM)
    [line] = _lines(run("scan", "--jsonl", "a"))
    assert line["recalled"] == {"label": "spam", "time": 1764000000.0, "similarity": 0.95}
    assert "like a marked spam 0.95" in " ".join(run("scan", "a").stdout.split())


def test_what_cannot_be_scanned_is_an_object_too(
    run: Run, tmp_path: Path, scripted: ScriptedClassifier, bundle: Bundle
) -> None:
    _write(tmp_path, a=HAM, bad=b"Subject: x\n\nUNREADABLE", huge=b"x" * 1_048_577, raises=b"RAISE")
    (tmp_path / "folder").mkdir()
    result = run("scan", "--jsonl", "--set", "engine.max_message_mib=1", "gone", "folder", "bad", "huge", "raises", "a")
    assert result.exit_code == 1
    lines = _lines(result)
    assert [line.get("error") for line in lines] == [
        "No such file or directory",
        "Is a directory",
        "unparsable: as told",
        "too_large: more than 1048576 bytes (engine.max_message_mib)",
        "engine_down: ValueError: as told",
        None,
    ]
    assert all(line["probability"] is line["verdict"] is None for line in lines[:5])
    assert lines[0]["model"] == bundle.model_id
    assert lines[5]["verdict"] == "ham"


def test_paths_that_are_not_utf_8_come_back_as_given(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    name = b"caf\xe9 \xff\n.eml"[:-5] + b".eml"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(SPAM)
    (tmp_path / "list").write_bytes(name + b"\n\xc3\xa9\n")
    (tmp_path / "é").write_bytes(HAM)
    lines = _lines(run("scan", "--jsonl", "--files-from", "list"))
    assert [line["verdict"] for line in lines] == ["spam", "ham"]
    assert [line["path"].encode("utf-8", "surrogateescape") for line in lines] == [name, b"\xc3\xa9"]


@pytest.mark.parametrize("source", ["list", "-"])
def test_a_list_of_paths(run: Run, tmp_path: Path, scripted: ScriptedClassifier, source: str) -> None:
    _write(tmp_path, a=HAM, b=SPAM, list=b"b\n\na \na\nb")
    _write(tmp_path, **{"a ": UNSURE})
    result = run("scan", "--jsonl", "--files-from", source, input=b"b\n\na \na\nb")
    assert [(line["path"], line["verdict"]) for line in _lines(result)] == [
        ("b", "spam"),
        ("a ", "unsure"),
        ("a", "ham"),
        ("b", "spam"),
    ]


def test_standard_input_is_a_path(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    _write(tmp_path, a=HAM)
    lines = _lines(run("scan", "--jsonl", "a", "-", input=SPAM))
    assert [(line["path"], line["verdict"]) for line in lines] == [("a", "ham"), ("-", "spam")]


def test_batches(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    _write(tmp_path, a=HAM)
    assert len(_lines(run("scan", "--jsonl", *["a"] * 40))) == 40
    assert len(_lines(run("scan", "--jsonl", "--batch", "3", *["a", "gone", "a", "a"]))) == 4
    assert scripted.batches == [16, 16, 8, 2, 1]


def test_mail_and_bare_text_are_told_apart(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    _write(tmp_path, mail=HAM, sms=b"WINNER! call 0800 now")
    run("scan", "mail", "sms")
    assert scripted.kinds == ["mail", "text"]


def test_thresholds_can_be_set(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    _write(tmp_path, a=UNSURE)
    (line,) = _lines(run("scan", "--jsonl", "--set", "policy.spam_at=0.55", "a"))
    assert line["verdict"] == "spam"


def test_worker_processes_give_the_same_form_in_the_same_order(
    run: Run, tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "EnginePool", functools.partial(pool.EnginePool, factory=FACTORY))
    _write(tmp_path, **{f"m{n}": b"Subject: x\n\n%d" % n for n in range(30)})
    paths = [f"m{n}" for n in range(30)]
    paths.insert(7, "gone")
    result = run("scan", "--jsonl", "--jobs", "2", "--batch", "4", *paths)
    assert result.exit_code == 1
    lines = _lines(result)
    assert [line["path"] for line in lines] == paths
    assert [n for n, line in enumerate(lines) if "error" in line] == [7]
    assert {line["probability"] for line in lines} == {0.25, None}
    assert len({line["scores"].get("pid") for line in lines} - {None}) <= 2


def test_the_table_walks_folders_and_maildirs(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    _write(tmp_path / "box" / "new", one=SPAM)
    _write(tmp_path / "box" / "cur", **{"two:2,S": HAM})
    _write(tmp_path / "box" / "tmp", half=HAM)
    _write(tmp_path / "box" / ".Trash", three=HAM)
    _write(tmp_path / "deep" / "er", four=UNSURE)
    result = run("scan", "box", "deep")
    assert result.exit_code == 0
    rows = [line.split()[:2] for line in result.stdout.splitlines()[3:] if line.strip()]
    assert rows == [["box/cur/two:2,S", "ham"], ["box/new/one", "spam"], ["deep/er/four", "unsure"]]


def test_the_table_names_what_failed_and_shows_no_control_characters(
    run: Run, tmp_path: Path, scripted: ScriptedClassifier
) -> None:
    _write(tmp_path, **{"\x1b[31mred": HAM})
    result = run("scan", "gone", "\x1b[31mred", "-", input=b"VIAGRA")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "not scanned" in result.stdout
    assert "No such file" in result.stdout
    assert "?[31mred" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ([], "give PATHS, or --files-from LIST, or - for standard input"),
        (["a", "--files-from", "list"], "give PATHS or --files-from, not both"),
        (["--files-from", "gone"], "--files-from gone: no such file"),
        (["--fail-exit", "a"], "--fail-exit goes with --pipe"),
        (["--report", "a"], "--report goes with --pipe"),
        (["--pipe", "a"], "--pipe reads one message from standard input"),
        (["--pipe", "--jsonl"], "--pipe reads one message from standard input"),
    ],
)
def test_what_does_not_go_together_is_said(run: Run, arguments: list[str], answer: str) -> None:
    result = run("scan", *arguments)
    assert result.exit_code == 2
    assert answer in result.stderr


def test_a_bad_bundle_is_one_line(run: Run, tmp_path: Path) -> None:
    _write(tmp_path, a=HAM)
    result = run("scan", "a", "--set", f"model.bundle={tmp_path}")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"error: {tmp_path}: no bundle there (manifest.json is missing)\n"
