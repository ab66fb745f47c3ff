"""Tokens: shown once, known by their hash, gone when removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from spamfilter.config import ConfigError
from spamfilter.console.security.tokens import PREFIX, Tokens


def test_a_token_is_known_by_its_secret_which_is_not_kept(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    secret = tokens.add("mail-gateway", "2026-01-01")
    assert secret.startswith(PREFIX) and len(secret) > 50
    found = tokens.find(secret)
    assert found is not None and found.name == "mail-gateway"
    assert secret not in (tmp_path / "tokens.json").read_text()
    assert tokens.find(secret[:-1]) is None and tokens.find("") is None and tokens.find("\ud800") is None


def test_a_removed_one_opens_nothing(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    secret = tokens.add("a", "2026-01-01")
    Tokens(tmp_path).remove("a")
    assert tokens.find(secret) is None
    assert tokens.all() == []


def test_names_are_checked_and_not_taken_twice(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.add("a", "2026-01-01")
    with pytest.raises(ConfigError, match="there is a token a"):
        tokens.add("a", "2026-01-01")
    with pytest.raises(ConfigError, match="64 letters"):
        tokens.add("a b", "2026-01-01")
    with pytest.raises(ConfigError, match="there are: a"):
        tokens.remove("b")
