"""`stats`: figures that are those of the log, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spamfilter.cli.stats import stats
from spamfilter.message import Message
from spamfilter.policy import Policy, decide
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.verdict import Failure, FailureKind
from tests.fakes import THRESHOLDS, score


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state_dir with two spam, one ham, and one that was not scanned."""
    store = DecisionStore(store_url("", tmp_path))
    store.open()
    for number, outcome in enumerate((score(0.01), score(0.99), score(0.9999), Failure(FailureKind.TIMEOUT, "30 s"))):
        message = Message(b"x", "evil\x1b[2J"[:4], id=f"a{number}")
        store.record(message, decide(message.id, outcome, Policy(THRESHOLDS)))
    store.close()
    return tmp_path


def _run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(stats, ["--state-dir", str(state), *arguments])


def test_as_json(state: Path) -> None:
    found = json.loads(_run(state, "--json").stdout)
    assert (found["count"], found["asked"], found["recalled"]) == (4, 3, 0)
    assert found["labels"] == {"ham": 1, "spam": 2, "unscanned": 1}
    assert found["failures"] == {"timeout": 1}
    assert sum(day["count"] for day in found["days"]) == 4
    assert sum(found["probabilities"]["counts"]) == 3
    assert len(found["probabilities"]["edges"]) == len(found["probabilities"]["counts"]) + 1
    assert found["milliseconds"]["total"] == [pytest.approx(1.0, rel=0.07)] * 3
    assert found["corrections"] == {"spam": 0, "ham": 0, "by_who": {}, "by_how": {}}


def test_for_people(state: Path) -> None:
    result = _run(state)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0].startswith("4 messages since ")
    assert "asked the GPT: 75.0%, like a corrected message: 0.0%, corrected: 0 as spam, 0 as ham" in lines
    assert any(line.startswith("spam 2 50.0% ██") for line in lines)
    assert any(line.startswith("timeout 1 100.0%") for line in lines)
    assert any(line.startswith("total 1") for line in lines)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_mail_is_exit_code_1(state: Path, form: list[str]) -> None:
    result = _run(state, "--since", "2001-01-01", "--until", "2001-02-01", *form)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["count"] == 0 if form else result.stdout == "no mail in that time\n"
