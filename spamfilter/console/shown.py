"""How values look on a page: what strangers wrote with every invisible sign made visible, times, sizes, shares.

A right-to-left override turns `gpj.exe` into `exe.jpg` for whoever looks at it; here it is seen for what it is.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from functools import lru_cache

from markupsafe import Markup, escape

_KEPT = frozenset("\n\t")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def shown(text: str | None, most: int = 100_000) -> Markup:
    """Text of a stranger as HTML text: control, bidi and invisible characters as a marked code point, then "…"."""
    text = text or ""
    cut = text[:most]
    if cut.isascii() and cut.isprintable():
        made = escape(cut)
    else:
        made = Markup("").join(_sign(cut, at) for at in range(len(cut)))
    return made + Markup("…") if len(text) > most else made


def _sign(text: str, at: int) -> Markup:
    sign = text[at]
    if sign in _KEPT or (sign == "\r" and text[at + 1 : at + 2] == "\n"):
        return Markup(escape(sign))
    if unicodedata.category(sign) not in _HIDDEN or (sign in _JOINERS and _joins(text, at)):
        return Markup(escape(sign))
    return _code_point(sign)


@lru_cache(1024)
def _code_point(sign: str) -> Markup:
    name = unicodedata.name(sign, "control character").lower()
    return Markup('<span class="sign" title="{}">U+{:04X}</span>').format(name, ord(sign))


def _joins(text: str, at: int) -> bool:
    """True where a joiner stands between letters that need one (emoji, Arabic, Indic), not within Latin words."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    return bool(before and after) and not before.isascii() and not after.isascii()


def percent(share: float | None, digits: int = 1) -> str:
    """A probability or share (0-1) as a percentage that never rounds to a certainty it has not."""
    if share is None:
        return "–"
    text = f"{share * 100:.{digits}f}"
    least = 10.0**-digits
    if share < 1 and float(text) >= 100:
        return f"> {100 - least:.{digits}f} %"
    if share > 0 and float(text) <= 0:
        return f"< {least:.{digits}f} %"
    return f"{text} %"


def size(count: int) -> str:
    """Bytes for people, in powers of a thousand."""
    number, unit = float(count), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{count} bytes" if unit == 0 else f"{number:.{1 if number < 100 else 0}f} {_UNITS[unit]}"


def when(moment: datetime | None) -> Markup:
    """A moment as a `<time>`: in UTC, which the page's script turns into the reader's own time."""
    if moment is None:
        return Markup("–")
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S} UTC")
