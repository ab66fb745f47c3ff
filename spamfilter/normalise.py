"""Undoes what is done to text so that filters misread it, and says what was undone.

Unicode compatibility forms, invisible characters, look-alike letters in mixed words, s p a c e d words. The counts
become facts: nobody writes "Раураl" with Cyrillic letters by accident. Source of look-alikes: Unicode TS 39's idea of
confusables, cut down to letters that pass for Latin ones in common fonts.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

VERSION = 1
"""Part of the extraction version: a bundle trained with another one is refused."""

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e0fff]+"
)
_LETTERS_BETWEEN = re.compile("[A-Za-z]\u200b|[A-Za-z]\u200c|[A-Za-z]\u00ad|[A-Za-z]\u2060|[A-Za-z]\ufeff")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n\s*\n+")
# whole runs of letters with a foreign one; tried at the start of a run only, or a long ASCII run costs its square
_WORD = re.compile(r"(?<![^\W\d_])[a-zA-Z]*[^\x00-\x7f\W\d_][^\W\d_]*")
_ASCII_LETTER = re.compile("[a-zA-Z]")
# four or more single letters with the same separator between: v i a g r a, v.i.a.g.r.a, v-i-a-g-r-a
_SPACED = re.compile(r"(?<![^\W_])([^\W\d_])([ .\-_*|~+])(?:[^\W\d_]\2){2,40}[^\W\d_](?![^\W_])")

_LOOK_ALIKE = str.maketrans(
    {
        **dict(zip("аеорсухіјѕһԁԛԝӏкмтвнгп", "aeopcyxijshdqwlkmtbhrn", strict=True)),
        **dict(zip("АВЕКМНОРСТУХІЈЅЗЬ", "ABEKMHOPCTYXIJS3b", strict=True)),
        **dict(zip("ΑαΒΕΖΗΙΚΜΝΟΡΤΥΧονρτυικ", "AaBEZHIKMNOPTYXovptuik", strict=True)),
        **dict(zip("ıȷɑɡɩοσѵғԍցոսհօ", "ijaglooyfgqnuho", strict=True)),
        **{"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"},
    }
)


@dataclass(frozen=True, slots=True)
class Normalised:
    """Folded text, and how much had to be undone: characters, words, words."""

    text: str
    invisible: int = 0
    look_alikes: int = 0
    spaced: int = 0


def normalise(text: str) -> Normalised:
    """Fold text to what a reader sees. Line breaks stay, runs of blanks become one. Case stays. Idempotent."""
    invisible = look_alikes = spaced = 0
    if not text.isascii():
        invisible = len(_LETTERS_BETWEEN.findall(text))
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
        text = _INVISIBLE.sub("", text)
        text, look_alikes = _fold_look_alikes(text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text)
    text, spaced = _SPACED.subn(_join, text)
    text = _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", text))
    return Normalised(text.strip(), invisible, look_alikes, spaced)


def _join(match: re.Match[str]) -> str:
    return match.group().replace(match.group(2), "")


def _fold_look_alikes(text: str) -> tuple[str, int]:
    folded = 0

    def fold(match: re.Match[str]) -> str:
        nonlocal folded
        word = match.group()
        if not _ASCII_LETTER.search(word):
            return word  # a word of one foreign script is just that
        latin = word.translate(_LOOK_ALIKE)
        if not latin.isascii():
            # accents on Latin words are honest; drop them so that "prêt" and its tricks read alike
            bare = "".join(c for c in unicodedata.normalize("NFD", latin) if not unicodedata.combining(c))
            latin = bare if bare.isascii() else latin
        if any(ord(c) in _LOOK_ALIKE and ord(c) > 0x24F for c in word) and latin.isascii():
            folded += 1
        return latin if latin.isascii() else word

    return _WORD.sub(fold, text), folded
