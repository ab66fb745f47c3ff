"""People's accounts: names, roles and scrypt hashes of their passwords in one file that only its owner can read.

The parameters of scrypt (RFC 7914) stand beside each hash, so that they can grow without anybody losing a password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spamfilter.config import ConfigError
from spamfilter.console.security.private_file import PrivateFile, Values
from spamfilter.console.security.roles import RANKS, Role

NAME = "accounts.json"
LEAST_CHARACTERS = 12
"""Of a password, as NIST SP 800-63B has it for one that stands alone, and some more."""
MOST_CHARACTERS = 1024
_N, _R, _P = 2**15, 8, 1  # 32 MiB and a tenth of a second, OWASP's Password Storage Cheat Sheet
_MOST_MEMORY = 256 * 1024 * 1024
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Account:
    """A person who may sign in. `stamp` changes with the password, so that sessions of the old one end."""

    name: str
    role: Role
    created: str
    stamp: str


class Accounts:
    """The accounts below a folder. Every method raises ConfigError where the file is damaged."""

    def __init__(self, folder: Path) -> None:
        self._file = PrivateFile(folder / NAME)

    def all(self) -> list[Account]:
        """Every account, by name."""
        return [_account(name, kept) for name, kept in sorted(self._file.values().items())]

    def find(self, name: str) -> Account | None:
        """The account of a name."""
        kept = self._file.values().get(name)
        return None if kept is None else _account(name, kept)

    def check(self, name: str, password: str) -> Account | None:
        """The account where the password is right. Takes as long for a name that nobody has. Blocks for 0.1 s."""
        kept = self._file.values().get(name)
        wanted = kept if kept is not None else _DUMMY
        right = _matches(wanted, password)
        return _account(name, kept) if kept is not None and right else None

    def add(self, name: str, role: Role, password: str, created: str) -> None:
        """Add an account. Raises ConfigError where the name or the password will not do, or the name is taken."""
        if not _NAMED.fullmatch(name):
            raise ConfigError(f"{name!r}: a name is up to 64 letters, digits and . _ @ + -, and begins with a letter")
        kept = {"role": str(role), "created": created, **_hashed(checked(password))}

        def change(accounts: Values) -> None:
            if name in accounts:
                raise ConfigError(f"{name} has an account; `spamfilter console user password {name}` changes it")
            accounts[name] = kept

        self._file.change(change)

    def set_password(self, name: str, password: str) -> None:
        """Another password; sessions of the old one end. Raises ConfigError."""
        fresh = _hashed(checked(password))
        self._file.change(lambda accounts: accounts.update({name: _known(accounts, name) | fresh}))

    def remove(self, name: str) -> None:
        """Take an account away; its sessions end. Raises ConfigError."""

        def change(accounts: Values) -> None:
            _known(accounts, name)
            del accounts[name]

        self._file.change(change)


def checked(password: str) -> str:
    """A password that will do. Raises ConfigError that says why it will not."""
    if len(password) < LEAST_CHARACTERS:
        raise ConfigError(f"the password is too short: at least {LEAST_CHARACTERS} characters; a few words do well")
    if len(password) > MOST_CHARACTERS:
        raise ConfigError(f"the password is too long: at most {MOST_CHARACTERS} characters")
    return password


def _known(accounts: Values, name: str) -> dict[str, Any]:
    if name not in accounts:
        known = ", ".join(sorted(accounts)) or "nobody"
        raise ConfigError(f"{name!r} has no account; these have: {known}")
    kept: dict[str, Any] = accounts[name]
    return kept


def _account(name: str, kept: Mapping[str, Any]) -> Account:
    try:
        role = Role(kept["role"])
        return Account(name, role, str(kept["created"]), hashlib.sha256(kept["hash"].encode()).hexdigest())
    except (KeyError, ValueError, TypeError, AttributeError):
        raise ConfigError(f"{NAME}: the entry of {name} is damaged; roles are {', '.join(RANKS)}") from None


def _hashed(password: str) -> dict[str, Any]:
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _N, _R, _P)
    return {"n": _N, "r": _R, "p": _P, "salt": _text(salt), "hash": _text(digest)}


def _matches(kept: Mapping[str, Any], password: str) -> bool:
    try:
        salt, wanted = base64.b64decode(kept["salt"]), base64.b64decode(kept["hash"])
        found = _scrypt(password[:MOST_CHARACTERS], salt, int(kept["n"]), int(kept["r"]), int(kept["p"]))
    except (KeyError, ValueError, TypeError):
        return False
    return hmac.compare_digest(found, wanted)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_DUMMY = {"n": _N, "r": _R, "p": _P, "salt": _text(bytes(16)), "hash": _text(bytes(32))}
