"""Encryption at rest for what is kept of labelled mail: AES-256-GCM under a key in a file of its own.

It guards a copied database (a backup, a disk that is sold), not a host whose intruder can read the key as well.
`cryptography` is an extra, since most hosts encrypt the disk instead.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

from spamfilter.state_dir import sync_folder
from spamfilter.store.database import StoreError

KEY_NAME = "labels.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_NAME_BYTES = 4


class SealError(StoreError):
    """Why something cannot be sealed or opened; made to be shown as it is."""


class Sealer:
    """Seals and opens with one key. What is sealed is bound to its `place` and opens nowhere else."""

    def __init__(self, key: bytes) -> None:
        """`key`: 32 bytes. Raises SealError where the extra is missing."""
        self._cipher = _cipher(key)
        self._name = _name(key)

    def seal(self, plain: bytes, place: str) -> bytes:
        """The key's name (4 bytes), the nonce (12), the ciphertext with its tag."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed: bytes = self._cipher.encrypt(nonce, plain, place.encode())
        return self._name + nonce + sealed

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed. Raises SealError."""
        from cryptography.exceptions import InvalidTag

        if sealed[:_NAME_BYTES] != self._name:
            raise SealError(f"{place}: sealed with another key; put back the key file that it was sealed with")
        nonce, text = sealed[_NAME_BYTES : _NAME_BYTES + _NONCE_BYTES], sealed[_NAME_BYTES + _NONCE_BYTES :]
        try:
            plain: bytes = self._cipher.decrypt(nonce, text, place.encode())
        except (InvalidTag, ValueError):
            raise SealError(f"{place}: damaged, it cannot be opened") from None
        return plain


def sealer(key_file: Path) -> Sealer | None:
    """The sealer with the key in a file, or None where there is no such file. Raises SealError."""
    try:
        with key_file.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            text = file.read(256)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SealError(f"{key_file}: the key cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise SealError(f"{key_file}: others may read the key (mode {mode:04o}); run: chmod 600 {key_file}")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise SealError(f"{key_file}: holds no key; put back the file that `spamfilter labels key` made")
    return Sealer(key)


def make_key(key_file: Path) -> Sealer:
    """A new random key in a new file that its owner only may read. Never replaces one. Raises SealError."""
    key = secrets.token_bytes(_KEY_BYTES)
    made = Sealer(key)  # before the file: without the extra there is nothing to make a key for
    try:
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise SealError(f"{key_file}: there is a key already; what is sealed with it opens with no other") from None
    except OSError as error:
        raise SealError(f"{key_file}: the key cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(key_file.parent)
    except OSError as error:
        key_file.unlink(missing_ok=True)
        raise SealError(f"{key_file}: the key cannot be written: {error.strerror}") from None
    return made


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise SealError(
            "labelled mail is sealed, which needs the package cryptography; run: pip install 'spamfilter[sealed]'"
        ) from None
    return AESGCM(key)


def _name(key: bytes) -> bytes:
    """By which a key is told from another, and which says nothing of it."""
    return hashlib.sha256(b"spamfilter key\0" + key).digest()[:_NAME_BYTES]
