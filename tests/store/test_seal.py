"""Sealing: what is sealed opens with its key and in its place only, and the key file is the owner's alone."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from spamfilter.store.seal import Sealer, SealError, make_key, sealer

pytest.importorskip("cryptography")

ONE, OTHER = bytes(32), bytes(range(32))


def test_sealed_bytes_hide_and_come_back() -> None:
    sealed = Sealer(ONE).seal(b"the planted word", "here")
    assert b"planted" not in sealed
    assert Sealer(ONE).open(sealed, "here") == b"the planted word"
    assert Sealer(ONE).seal(b"the planted word", "here") != sealed, "a nonce is used once"


@pytest.mark.parametrize(
    ("key", "place", "spoil", "why"),
    [
        (OTHER, "here", 0, "sealed with another key"),
        (ONE, "there", 0, "damaged"),
        (ONE, "here", 1, "damaged"),
        (ONE, "here", -5, "damaged"),
    ],
)
def test_what_does_not_fit_is_said(key: bytes, place: str, spoil: int, why: str) -> None:
    sealed = Sealer(ONE).seal(b"text", "here")
    if spoil > 0:
        sealed = sealed[:-spoil] + bytes([sealed[-1] ^ 1])
    elif spoil < 0:
        sealed = sealed[:spoil]
    with pytest.raises(SealError, match=why):
        Sealer(key).open(sealed, place)


def test_an_empty_value_is_damaged() -> None:
    with pytest.raises(SealError):
        Sealer(ONE).open(b"", "here")


def test_the_key_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.key"
    assert sealer(path) is None
    sealed = make_key(path).seal(b"text", "here")
    assert path.stat().st_mode & 0o777 == 0o600
    again = sealer(path)
    assert again is not None
    assert again.open(sealed, "here") == b"text"


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "labels.key"
    make_key(path)
    before = path.read_bytes()
    with pytest.raises(SealError, match="there is a key already"):
        make_key(path)
    assert path.read_bytes() == before


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.key"
    make_key(path)
    path.chmod(0o640)
    with pytest.raises(SealError, match=f"chmod 600 {path}"):
        sealer(path)


@pytest.mark.parametrize("content", [b"", b"short\n", b"AAAA\n", b"\xff\xfe", b"A" * 1000])
def test_a_file_that_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SealError, match="holds no key"):
        sealer(path)


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="cannot be written"):
        make_key(tmp_path / "none" / "labels.key")


def test_without_the_extra_no_key_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SealError, match=r"pip install 'spamfilter\[sealed\]'"):
        make_key(tmp_path / "labels.key")
    assert not (tmp_path / "labels.key").exists()
