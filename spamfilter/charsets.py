"""Bytes of mail to text, whatever charset they claim: declared, misdeclared, unknown or absent.

Mail lies about charsets: gb2312 carries GBK, iso-8859-1 carries Windows-1252, "us-ascii" carries UTF-8. Decoding never
raises, and only plain text codecs are reachable from a mail (not `unicode_escape`, `idna`, `hex`).
"""

from __future__ import annotations

import codecs
import encodings
import pkgutil
import re
from encodings.aliases import aliases
from functools import lru_cache

_WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "hz": "hz", "euc_kr": "cp949", "ks_c_5601_1987": "cp949",
    "iso8859_1": "cp1252", "latin_1": "cp1252", "ascii": "cp1252", "iso8859_9": "cp1254", "shift_jis": "cp932",
    "big5": "big5hkscs", "tis_620": "cp874", "iso8859_11": "cp874", "iso8859_8": "cp1255", "utf_8_sig": "utf_8",
}  # fmt: skip
_ALIASES = {
    "ks_c_5601-1987": "cp949", "ks_c_5601": "cp949", "x-sjis": "cp932", "x-gbk": "gb18030", "x-euc-jp": "euc_jp",
    "unicode-1-1-utf-7": "utf_7", "iso-8859-8-i": "cp1255", "iso-8859-8-e": "cp1255", "x-mac-roman": "mac_roman",
    "windows-874": "cp874", "x-windows-949": "cp949", "utf8mb4": "utf_8", "unknown-8bit": "", "default": "",
    "x-unknown": "", "unknown": "", "8bit": "", "none": "",
}  # fmt: skip
_REFUSED = re.compile(
    r"escape|idna|punycode|hex|base64|uu|zlib|bz2|rot|quopri|undefined|mbcs|oem|palmos|charmap|utf_16|utf_32"
)
_ISO_2022 = re.compile(rb"\x1b(?:\$[@B]|\([BJ]|\$\))")


# Python's registry remembers every name that it is asked for, known or not, for ever: mail may ask for known ones only
_KNOWN = frozenset({*aliases, *aliases.values(), *(module.name for module in pkgutil.iter_modules(encodings.__path__))})


@lru_cache(maxsize=512)
def codec_for(charset: str) -> str | None:
    """The Python codec that reads a declared charset in its widest sense; None when it is not a known text charset."""
    name = charset.strip().strip("\"'").lower()[:60]
    name = _ALIASES.get(name, name)
    if not name or not name.isascii() or "\0" in name:
        return None
    if name.replace("-", "_") in ("utf_16", "utf_16le", "utf_16be", "utf_16_le", "utf_16_be"):
        return name
    known = encodings.normalize_encoding(name)
    if known not in _KNOWN and known.replace(".", "_") not in _KNOWN:
        return None
    try:
        codec = codecs.lookup(name).name.replace("-", "_")
    except (LookupError, ValueError):
        return None
    return None if _REFUSED.search(codec) else _WIDER.get(codec, codec)


def decode_text(data: bytes, charset: str | None) -> str:
    """`data` as text. UTF-8 wins wherever it is valid and the declared charset is a single-byte one."""
    if data.isascii() and (charset is None or b"\x1b" not in data) and not _stateful(charset):
        return data.decode("ascii")
    codec = codec_for(charset) if charset else None
    if codec in (None, "cp1252", "utf_8"):
        guessed = _guess(data) if codec is None else _utf8(data)
        return guessed if guessed is not None else data.decode("cp1252", "replace")
    assert codec is not None
    try:
        return data.decode(codec, "replace")
    except Exception:  # some multibyte codecs raise on broken escapes even with errors="replace"
        return data.decode("cp1252", "replace")


def whole_characters(window: bytes) -> bytes:
    """A window cut out of a text, without the rest of a UTF-8 character that its start cut in two."""
    rest = len(window[:4]) - len(window[:4].lstrip(bytes(range(0x80, 0xC0))))
    return window[rest:] if rest < 4 else window


def _stateful(charset: str | None) -> bool:
    name = (charset or "").lower()
    return name.startswith(("utf-7", "utf-16", "utf16", "unicode-1-1", "hz")) or "2022" in name


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf_8")
    except UnicodeDecodeError as error:
        # a window may cut the last character; and one stray byte must not turn a whole UTF-8 text into cp1252
        if error.start >= len(data) - 3 or (len(data[: error.start]) > 64 and not data[: error.start].isascii()):
            return data.decode("utf_8", "replace")
        return None


def _guess(data: bytes) -> str | None:
    text = _utf8(data)
    if text is not None:
        return text
    if _ISO_2022.search(data[:4096]):
        return data.decode("iso2022_jp_ext", "replace")
    sample = data[:4096]
    high = sum(byte > 0x7F for byte in sample)
    if high > len(sample) * 0.3:  # mostly high bytes, not UTF-8: Chinese far more often than Western text
        text = sample.decode("gb18030", "replace")
        if text.count("�") <= len(text) // 50:
            return data.decode("gb18030", "replace")
    return None
