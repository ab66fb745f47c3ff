"""Accounts: hashes that cannot be read back, in a file that nobody else can read."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from spamfilter.config import ConfigError
from spamfilter.console.security.accounts import Accounts
from spamfilter.console.security.roles import Role

PASSWORD = "correct horse battery"
NOW = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path)
    made.add("ann", Role.OPERATOR, PASSWORD, NOW)
    return made


def test_the_right_password_opens_and_no_other(accounts: Accounts) -> None:
    found = accounts.check("ann", PASSWORD)
    assert found is not None and (found.name, found.role, found.created) == ("ann", Role.OPERATOR, NOW)
    for wrong in ("", "Correct horse battery", PASSWORD + " ", "\ud800", PASSWORD * 1000):
        assert accounts.check("ann", wrong) is None
    assert accounts.check("bob", PASSWORD) is None


def test_the_file_holds_parameters_and_hashes_for_its_owner_alone(accounts: Accounts, tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    kept = json.loads(path.read_text())["ann"]
    assert {"n", "r", "p", "salt", "hash", "role", "created"} == set(kept)
    assert PASSWORD not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_people_with_one_password_have_two_hashes(accounts: Accounts, tmp_path: Path) -> None:
    accounts.add("bob", Role.ADMIN, PASSWORD, NOW)
    kept = json.loads((tmp_path / "accounts.json").read_text())
    assert kept["ann"]["hash"] != kept["bob"]["hash"]
    assert [one.name for one in accounts.all()] == ["ann", "bob"]


def test_older_parameters_still_open(tmp_path: Path) -> None:
    import base64
    import hashlib

    digest = hashlib.scrypt(PASSWORD.encode(), salt=b"salt", n=1024, r=8, p=1, dklen=32)
    kept = {"n": 1024, "r": 8, "p": 1, "salt": base64.b64encode(b"salt").decode(), "role": "admin", "created": NOW}
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps({"old": {**kept, "hash": base64.b64encode(digest).decode()}}))
    path.chmod(0o600)
    assert Accounts(tmp_path).check("old", PASSWORD) is not None


def test_another_password_changes_the_stamp(accounts: Accounts) -> None:
    before = accounts.find("ann")
    accounts.set_password("ann", "another fine password")
    after = accounts.find("ann")
    assert before is not None and after is not None
    assert before.stamp != after.stamp
    assert accounts.check("ann", PASSWORD) is None


def test_what_another_process_writes_is_seen(accounts: Accounts, tmp_path: Path) -> None:
    Accounts(tmp_path).remove("ann")
    assert accounts.find("ann") is None


@pytest.mark.parametrize(
    ("name", "password", "told"),
    [
        ("", PASSWORD, "a name is"),
        ("a b", PASSWORD, "a name is"),
        ("../x", PASSWORD, "a name is"),
        ("x" * 65, PASSWORD, "a name is"),
        ("bob", "short", "too short"),
        ("bob", "x" * 2000, "too long"),
        ("ann", PASSWORD, "has an account"),
    ],
)
def test_what_will_not_do_is_refused_and_says_why(accounts: Accounts, name: str, password: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        accounts.add(name, Role.VIEWER, password, NOW)
    assert [one.name for one in accounts.all()] == ["ann"]


def test_nobody_is_removed_twice(accounts: Accounts) -> None:
    accounts.remove("ann")
    with pytest.raises(ConfigError, match="nobody"):
        accounts.remove("ann")


@pytest.mark.parametrize("damage", ["no JSON", "[]", '{"ann": {"role": "king"}}', '{"ann": 7}'])
def test_a_damaged_file_lets_nobody_in(accounts: Accounts, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "accounts.json"
    path.write_text(damage)
    with pytest.raises(ConfigError, match=r"accounts\.json"):
        accounts.all()


def test_a_file_that_others_can_read_is_refused(accounts: Accounts, tmp_path: Path) -> None:
    (tmp_path / "accounts.json").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        accounts.check("ann", PASSWORD)
