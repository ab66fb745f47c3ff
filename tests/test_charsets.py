"""Charsets: text survives what mail says of it, and no codec but a text codec is within reach."""

from __future__ import annotations

import codecs
import encodings.aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.charsets import codec_for, decode_text, whole_characters

CHINESE = "朱镕基总理的发票" * 3  # the second character is in GBK, not in GB2312


@pytest.mark.parametrize(
    ("text", "codec", "declared"),
    [
        pytest.param(CHINESE, "gbk", "gb2312", id="gbk-as-gb2312"),
        pytest.param(CHINESE, "gbk", None, id="gbk-undeclared"),
        pytest.param(CHINESE, "gbk", "x-unknown", id="gbk-unknown"),
        pytest.param("똠방각하 안녕", "cp949", "ks_c_5601-1987", id="cp949-as-ks_c_5601"),
        pytest.param("“smart” quotes – €5", "cp1252", "iso-8859-1", id="cp1252-as-latin-1"),
        pytest.param("“smart” quotes – €5", "cp1252", "us-ascii", id="cp1252-as-ascii"),
        pytest.param("naïve “quotes”", "utf-8", None, id="utf-8-undeclared"),
        pytest.param("naïve “quotes”", "utf-8", "us-ascii", id="utf-8-as-ascii"),
        pytest.param("naïve “quotes”", "utf-8", "iso-8859-1", id="utf-8-as-latin-1"),
        pytest.param("naïve “quotes”", "utf-8", "no-such-charset", id="utf-8-as-nothing-known"),
        pytest.param("naïve people", "latin-1", "utf-8", id="latin-1-as-utf-8"),
        pytest.param("Привет, как дела", "koi8-r", "KOI8-R", id="koi8-r"),
        pytest.param("Привет, как дела", "cp1251", '"windows-1251"', id="quoted-name"),
        pytest.param("日本語のテスト", "iso2022_jp", "iso-2022-jp", id="iso-2022-jp"),
        pytest.param("①髙", "cp932", "shift_jis", id="cp932-as-shift-jis"),
        pytest.param("Hi ☃", "utf-7", "utf-7", id="utf-7"),
        pytest.param("Hi ☃", "utf-16", "utf-16", id="utf-16"),
        pytest.param("Hi ☃", "utf-16-le", "UTF-16LE", id="utf-16le"),
        pytest.param("Çağrı", "cp1254", "iso-8859-9", id="turkish"),
        pytest.param("สวัสดี", "cp874", "windows-874", id="thai"),
    ],
)
def test_text_survives(text: str, codec: str, declared: str | None) -> None:
    assert decode_text(text.encode(codec), declared) == text


def test_one_stray_byte_leaves_a_utf8_text_readable() -> None:
    text = "Größe und Länge, Übung macht den Meister. " * 4
    assert decode_text(text.encode() + b"\xff" + text.encode(), "utf-8") == f"{text}\ufffd{text}"


@pytest.mark.parametrize(
    "name",
    [
        "idna", "punycode", "unicode_escape", "raw-unicode-escape", "hex", "base64", "uu", "zlib", "bz2", "rot13",
        "rot_13", "quopri", "undefined", "mbcs", "oem", "palmos", "utf-32", "string-escape",
        "", " ", "\0", "é", "a" * 5000, "../../etc/passwd", "os", "aliases", "none", "unknown-8bit",
    ],
)  # fmt: skip
def test_refused(name: str) -> None:
    assert codec_for(name) is None
    assert decode_text(b"plain \\x41 text\xc3\xa9", name) == "plain \\x41 text\u00e9"


def test_every_codec_of_python_takes_any_bytes() -> None:
    data = bytes(range(256)) * 8 + b"\x1b$B\x1b(J~{~}+AGE-"
    for name in sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values()}):
        assert isinstance(decode_text(data, name), str), name


def test_unknown_names_do_not_fill_the_registry() -> None:
    """Python's registry keeps every name that it was ever asked for; mail must not choose them."""
    asked: list[str] = []

    def listener(name: str) -> None:
        asked.append(name)

    codecs.register(listener)
    try:
        for number in range(50):
            decode_text(b"\xe9", f"x-made-up-{number}")
    finally:
        codecs.unregister(listener)
    assert asked == []


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=20)))
def test_never_raises(data: bytes, charset: str | None) -> None:
    assert isinstance(decode_text(data, charset), str)


@given(st.text(min_size=8).map(str.encode), st.integers(0, 7))
def test_a_window_starts_at_a_whole_character(data: bytes, cut: int) -> None:
    window = whole_characters(data[cut:])
    window.decode("utf-8")
    assert len(data[cut:]) - len(window) <= 3
