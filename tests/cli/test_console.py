"""`console`: the way in, accounts and tokens, from the command line of a mail host."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from spamfilter.console.security.accounts import Accounts
from spamfilter.console.security.link import SignInLink
from spamfilter.console.security.roles import Role
from spamfilter.console.security.tokens import Tokens
from tests.cli.conftest import Run

PASSWORD = "correct horse battery"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_the_link_of_a_running_console_is_printed(run: Run, state: Path) -> None:
    link = SignInLink(state / "console")
    link.begin("http://127.0.0.1:11380")
    assert run("console", "link", "--state-dir", state).stdout == f"{link.url}\n"
    link.end()
    result = run("console", "link", "--state-dir", state)
    assert result.exit_code == 2
    assert "start `spamfilter serve`" in result.output


def test_an_account_is_made_listed_changed_and_removed(run: Run, state: Path) -> None:
    at = ("--state-dir", state)
    made = run("console", "user", "add", "ann", "--role", "admin", *at, input=f"{PASSWORD}\n{PASSWORD}\n".encode())
    assert (made.exit_code, made.stdout) == (0, "ann may sign in as admin\n")
    found = Accounts(state / "console").check("ann", PASSWORD)
    assert found is not None and found.role is Role.ADMIN
    assert stat.S_IMODE((state / "console").stat().st_mode) == 0o700
    (row,) = [json.loads(line) for line in run("console", "user", "list", "--json", *at).stdout.splitlines()]
    assert (row["name"], row["role"]) == ("ann", "admin") and row["created"].startswith("20")
    assert "ann" in run("console", "user", "list", *at).stdout
    run("console", "user", "password", "ann", "--stdin", *at, input=b"another fine password\n")
    assert Accounts(state / "console").check("ann", "another fine password") is not None
    assert run("console", "user", "remove", "ann", *at).exit_code == 0
    assert run("console", "user", "list", *at).stdout == "no accounts; `spamfilter console user add NAME`\n"


@pytest.mark.parametrize(
    ("arguments", "typed", "told"),
    [
        (("add", "a b", "--stdin"), PASSWORD, "a name is"),
        (("add", "bob", "--stdin"), "short", "at least 12"),
        (("add", "bob", "--stdin"), "", "at least 12"),
        (("password", "bob", "--stdin"), PASSWORD, "no account"),
        (("remove", "bob"), "", "no account"),
        (("add", "bob", "--role", "king", "--stdin"), PASSWORD, "king"),
    ],
)
def test_what_will_not_do_says_why(run: Run, state: Path, arguments: tuple[str, ...], typed: str, told: str) -> None:
    result = run("console", "user", *arguments, "--state-dir", state, input=f"{typed}\n".encode())
    assert result.exit_code == 2
    assert told in result.output
    assert not (state / "console" / "accounts.json").exists()


def test_a_token_is_shown_once_and_listed_by_its_name(run: Run, state: Path) -> None:
    at = ("--state-dir", state)
    secret = run("console", "token", "add", "gateway", *at).stdout.strip()
    found = Tokens(state / "console").find(secret)
    assert found is not None and found.name == "gateway"
    listed = run("console", "token", "list", "--json", *at).stdout
    assert json.loads(listed)["name"] == "gateway" and secret not in listed
    assert "gateway" in run("console", "token", "list", *at).stdout
    assert run("console", "token", "remove", "gateway", *at).exit_code == 0
    assert run("console", "token", "list", *at).stdout == "no tokens; `spamfilter console token add NAME`\n"
    assert run("console", "token", "remove", "gateway", *at).exit_code == 2
