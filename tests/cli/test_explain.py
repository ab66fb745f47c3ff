"""`explain`: what people see and what programs read, in the order of the files, whatever is in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spamfilter.classifier.bundle import Bundle
from spamfilter.classifier.explanation import Explanation
from spamfilter.verdict import Score
from tests.classifier.made_explanation import made
from tests.cli.conftest import Run, ScriptedClassifier

SPAM = b"Subject: b\n\nVIAGRA"


def test_people_see_verdict_stages_text_reasons_and_ifs(run: Run, tmp_path: Path, scripted: ScriptedClassifier) -> None:
    (tmp_path / "a").write_bytes(SPAM)
    result = run("explain", "a")
    assert result.exit_code == 0
    out = result.stdout
    assert out.startswith("spam 0.9900  a  (spam from 0.9000, model scripted-1)\n")
    lines = out.splitlines()
    assert "    base   -1.00 ████████████" in lines
    assert "  memory   +2.00 ████████████████████████" in lines
    assert "     sum   +3.76 log-odds, probability 0.9900" in lines
    assert "subject: cheap pills[+2.00]" in lines
    assert 'buy now[+0.50 "buу nоw"] ?[31m and have lunch[-1.00]' in out
    assert '  +2.00  "cheap pills" in the subject speaks strongly for spam.' in lines
    assert "  +2.00  Somebody marked a message like this one as spam (95% alike)." in lines
    assert '  0.1200  without the link to "pills.example"' in lines
    assert "\x1b" not in out


def test_programs_read_what_scan_says_and_all_of_the_explanation(
    run: Run, tmp_path: Path, scripted: ScriptedClassifier
) -> None:
    (tmp_path / "a").write_bytes(SPAM)
    result = run("explain", "--json", "a", "-", "--seconds", "0.5", input=b"PERHAPS")
    assert result.exit_code == 0
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["path"], first["verdict"], first["probability"]) == ("a", "spam", 0.99)
    assert first["recalled"]["label"] == "spam"
    score = Score(
        first["probability"], first["scores"], first["model"], recalled=made().score.recalled, content="c" * 64
    )
    assert Explanation.from_json(score, first) == made()
    assert (second["path"], second["verdict"]) == ("-", "unsure")
    assert scripted.seconds == [0.5, 0.5]


@pytest.mark.parametrize(("option", "kinds"), [([], ["mail", "text"]), (["--kind", "text"], ["text", "text"])])
def test_what_the_files_are_may_be_said(
    run: Run, tmp_path: Path, scripted: ScriptedClassifier, option: list[str], kinds: list[str]
) -> None:
    (tmp_path / "a").write_bytes(SPAM)
    (tmp_path / "b").write_bytes(b"see you at noon")
    assert run("explain", *option, "a", "b").exit_code == 0
    assert scripted.kinds == kinds


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_cannot_be_explained_is_told_and_the_rest_is_explained(
    run: Run, tmp_path: Path, scripted: ScriptedClassifier, bundle: Bundle, form: list[str]
) -> None:
    (tmp_path / "bad").write_bytes(b"Subject: x\n\nUNREADABLE")
    (tmp_path / "huge").write_bytes(b"x" * 1_048_577)
    (tmp_path / "good").write_bytes(SPAM)
    result = run("explain", *form, "--set", "engine.max_message_mib=1", "gone", "bad", "huge", "good")
    assert result.exit_code == 1
    if form:
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert [line.get("error") for line in lines] == [
            "No such file or directory",
            "unparsable: as told",
            "too_large: more than 1048576 bytes (engine.max_message_mib)",
            None,
        ]
    else:
        assert "gone: not explained: No such file or directory" in result.stdout
        assert "bad: not explained: unparsable: as told" in result.stdout
        assert "spam 0.9900  good" in result.stdout


def test_a_file_must_be_named(run: Run) -> None:
    result = run("explain")
    assert result.exit_code == 2
    assert "FILES" in result.stderr


def test_what_is_far_from_what_moved_the_score_is_left_out(
    run: Run, tmp_path: Path, scripted: ScriptedClassifier
) -> None:
    (tmp_path / "a").write_bytes(b"Subject: b\n\nLONG VIAGRA")
    out = run("explain", "a").stdout
    assert " ... " in out
    assert len(out) < 4000
