"""Log lines: one event, one line, whatever a stranger wrote into it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from spamfilter import log
from tests.logs import restored


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored():
        yield


def test_text_is_one_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "text")
    structlog.get_logger("spamfilter.x").info("delivered", sender="a@b\nerror forged", size=3, note="two words")
    out = capsys.readouterr()
    assert out.out == ""
    (line,) = out.err.splitlines()
    assert r"info    delivered sender='a@b\nerror forged' size=3 note='two words' [spamfilter.x]" in line


def test_json_is_one_object_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    structlog.get_logger("spamfilter.x").warning("refused", sender="\x1b[31m\n")
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["logger"]) == ("refused", "warning", "spamfilter.x")
    assert event["sender"] == "\x1b[31m\n"
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize("form", ["text", "json"])
def test_libraries_speak_the_same_way(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", form)  # type: ignore[arg-type]
    logging.getLogger("library").error("bad %s", "luck")
    logging.getLogger("alembic.runtime").info("chatter")
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad luck" in line
    assert "library" in line


def test_below_the_level_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("error", "text")
    structlog.get_logger("x").warning("quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_kept(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", form)  # type: ignore[arg-type]
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "broken" in capsys.readouterr().err
