"""`decisions`: lists, pages, one decision whole, and nothing that could move the cursor."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spamfilter.message import Envelope, Message
from spamfilter.policy import Policy, decide
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.verdict import Disposition, Failure, FailureKind, Label, Recall
from tests.cli.conftest import Run
from tests.fakes import THRESHOLDS, score


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state_dir with three decisions: aa1 ham, ab2 spam, ac3 not scanned."""
    store = DecisionStore(store_url("", tmp_path))
    store.open()
    envelope = Envelope("evil\x1b[2J@example.org", ("bob@example.net", "eve@example.net"))
    for id_, outcome in (("aa1", score(0.01)), ("ab2", score(0.99)), ("ac3", Failure(FailureKind.TIMEOUT, "30 s"))):
        message = Message(b"x", "smtp", envelope, id=id_)
        decision = decide(id_, outcome, Policy(THRESHOLDS))
        store.record(message, decision)
        store.settle(decision, Disposition.DELIVERED, "250 ok")
    store.close()
    return tmp_path


def test_the_list_is_a_table_without_control_characters(run: Run, state: Path) -> None:
    result = run("decisions", "list", "--state-dir", state)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "evil?[2J@example.org" in result.stdout
    assert "bob@example.net +1" in result.stdout
    assert "unscanned: timeout" in result.stdout
    rows = [line.split()[0] for line in result.stdout.splitlines() if line.lstrip().startswith("a")]
    assert rows == ["ac3", "ab2", "aa1"]


def test_the_list_as_json(run: Run, state: Path) -> None:
    lines = run("decisions", "list", "--json", "--state-dir", state).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["ac3", "ab2", "aa1"]
    assert json.loads(lines[1])["stages"] == {"ngram": 0.99, "gpt": 0.99}


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--label", "spam"], ["ab2"]),
        (["--label", "unscanned"], ["ac3"]),
        (["--channel", "folder"], []),
        (["--sender", "EVIL"], ["ac3", "ab2", "aa1"]),
        (["--disposition", "rejected"], []),
        (["--since", "1h"], ["ac3", "ab2", "aa1"]),
        (["--until", "1h"], []),
        (["--since", (datetime.now(UTC) + timedelta(days=2)).date().isoformat()], []),
        (["--limit", "1"], ["ac3"]),
        (["--before", "ac3", "--limit", "1"], ["ab2"]),
    ],
)
def test_filters(run: Run, state: Path, arguments: list[str], ids: list[str]) -> None:
    lines = run("decisions", "list", "--json", "--state-dir", state, *arguments).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids


def test_a_full_page_says_how_to_go_on(run: Run, state: Path) -> None:
    assert "older ones: --before ab2" in run("decisions", "list", "--limit", "2", "--state-dir", state).stdout
    assert "no decisions found" in run("decisions", "list", "--channel", "x", "--state-dir", state).stdout


def test_one_decision_whole(run: Run, state: Path) -> None:
    shown = run("decisions", "show", "ab", "--state-dir", state).stdout
    for part in ("spam, probability 0.9900 (unsure from 0.5000, spam from 0.9000)", "fake-1", "ngram 0.9900", "250 ok"):
        assert part in shown
    assert "not scanned: timeout (30 s)" in run("decisions", "show", "ac3", "--state-dir", state).stdout
    assert json.loads(run("decisions", "show", "--json", "aa", "--state-dir", state).stdout)["label"] == "ham"


@pytest.mark.parametrize(("label", "memory"), [(Label.SPAM, 1.0), (Label.HAM, 0.0)])
def test_a_decision_that_a_corrected_message_made_says_so(
    run: Run, tmp_path: Path, label: Label, memory: float
) -> None:
    recall = Recall("c" * 64, label, datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp(), 0.95)
    known = replace(score(0.99), stages={"ngram": 0.5, "memory": memory}, recalled=recall)
    store = DecisionStore(store_url("", tmp_path))
    store.open()
    store.record(Message(b"x", "smtp", id="ad4"), decide("ad4", known, Policy(THRESHOLDS)))
    store.close()
    shown = run("decisions", "show", "ad4", "--state-dir", tmp_path).stdout
    assert f"like a message marked {label}" in shown
    assert "memory" not in shown


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["show", "a"], "error: several decisions start with 'a': aa1, ab2, ac3...; write more of the id\n"),
        (["show", "z"], "error: no decision 'z'; `spamfilter decisions list` shows those that are kept\n"),
    ],
)
def test_an_id_that_does_not_fit(run: Run, state: Path, arguments: list[str], answer: str) -> None:
    result = run("decisions", *arguments, "--state-dir", state)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", answer)


def test_a_time_that_is_none(run: Run, state: Path) -> None:
    result = run("decisions", "list", "--since", "yesterday", "--state-dir", state)
    assert result.exit_code == 2
    assert "write 2h, 7d, 2026-01-31" in result.stderr


def test_no_log_yet(run: Run, tmp_path: Path) -> None:
    result = run("decisions", "list", "--state-dir", tmp_path / "none")
    assert result.exit_code == 2
    assert "no decision log yet; `spamfilter serve` writes one" in result.stderr
    assert not (tmp_path / "none").exists()
