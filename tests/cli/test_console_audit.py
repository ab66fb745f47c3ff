"""`console audit`: what people did by hand, read from the store of a mail host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spamfilter.store.audit import Audit
from spamfilter.store.database import migrate, open_database, store_url
from tests.cli.conftest import Run


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state_dir in which ann and bob did something."""
    folder = tmp_path / "state"
    folder.mkdir()
    url = store_url("", folder)
    engine = open_database(url, writer=True)
    migrate(engine)
    engine.dispose()
    with Audit(url) as audit:
        audit.note("ann", "admin", "model.activate", "second", "why \x1b[31m not", "192.0.2.1")
        audit.note("bob", "operator", "decision.mark", "1a2b", "spam")
    return folder


def test_deeds_are_listed_newest_first(run: Run, state: Path) -> None:
    result = run("console", "audit", "--state-dir", state)
    assert result.exit_code == 0
    assert result.stdout.index("decision.mark") < result.stdout.index("model.activate")
    assert "why ?[31m not" in result.stdout and "192.0.2.1" in result.stdout


def test_as_json_each_line_is_a_deed(run: Run, state: Path) -> None:
    found = [json.loads(line) for line in run("console", "audit", "--json", "--state-dir", state).stdout.splitlines()]
    assert [(one["who"], one["action"], one["subject"]) for one in found] == [
        ("bob", "decision.mark", "1a2b"), ("ann", "model.activate", "second"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "who"),
    [(("--who", "ann"), "ann"), (("--action", "decision.mark"), "bob"), (("--subject", "1a2b"), "bob"),
     (("--before", "2"), "ann"), (("--limit", "1"), "bob")],
)  # fmt: skip
def test_some_are_chosen(run: Run, state: Path, chosen: tuple[str, ...], who: str) -> None:
    lines = run("console", "audit", "--json", *chosen, "--state-dir", state).stdout.splitlines()
    assert [json.loads(line)["who"] for line in lines] == [who]


def test_nothing_is_no_success(run: Run, state: Path) -> None:
    result = run("console", "audit", "--who", "eve", "--state-dir", state)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nobody did anything" in result.stderr


def test_a_store_that_is_not_there_says_so(run: Run, tmp_path: Path) -> None:
    result = run("console", "audit", "--state-dir", tmp_path / "none")
    assert result.exit_code == 2
    assert "state_dir" in result.output or "state-dir" in result.output
