"""Secrets of programs that ask for verdicts: shown once, kept as hashes in a file that only its owner can read.

A token is 256 random bits, so that a plain hash of it is as good as a slow one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spamfilter.config import ConfigError
from spamfilter.console.security.private_file import PrivateFile, Values

NAME = "tokens.json"
PREFIX = "spamfilter_"
"""By which scanners for leaked secrets may know one."""
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: not the token."""

    name: str
    created: str


class Tokens:
    """The tokens below a folder. Every method raises ConfigError where the file is damaged."""

    def __init__(self, folder: Path) -> None:
        self._file = PrivateFile(folder / NAME)

    def all(self) -> list[Token]:
        """Every token, by name."""
        return [Token(name, str(_entry(kept).get("created", ""))) for name, kept in sorted(self._file.values().items())]

    def find(self, secret: str) -> Token | None:
        """The token of a secret that a program showed. The hash is compared, so time tells nothing of the secret."""
        digest = _hash(secret)
        for name, kept in self._file.values().items():
            if _entry(kept).get("sha256") == digest:
                return Token(name, str(kept.get("created", "")))
        return None

    def add(self, name: str, created: str) -> str:
        """Make a token; the secret, which cannot be had again. Raises ConfigError."""
        if not _NAMED.fullmatch(name):
            raise ConfigError(f"{name!r}: a token's name is up to 64 letters, digits and . _ -")
        secret = PREFIX + secrets.token_urlsafe(32)

        def change(tokens: Values) -> None:
            if name in tokens:
                raise ConfigError(f"there is a token {name}; `spamfilter console token remove {name}` takes it away")
            tokens[name] = {"sha256": _hash(secret), "created": created}

        self._file.change(change)
        return secret

    def remove(self, name: str) -> None:
        """Take a token away; from now on it opens nothing. Raises ConfigError."""

        def change(tokens: Values) -> None:
            if name not in tokens:
                raise ConfigError(f"no token {name!r}; there are: {', '.join(sorted(tokens)) or 'none'}")
            del tokens[name]

        self._file.change(change)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _entry(kept: object) -> dict[str, Any]:
    return kept if isinstance(kept, dict) else {}
