"""Undoes what is done to text so that filters misread it, and says what was undone.

Unicode compatibility forms, invisible characters, look-alike letters, l33t inside words, s p a c e d words. The counts
become facts: nobody writes "Раураl" with Cyrillic letters by accident. Source of look-alikes: Unicode TS 39's idea of
confusables, cut down to letters that pass for Latin ones in common fonts.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

VERSION = 2
"""Part of the extraction version: a bundle trained with another one is refused."""

_INVISIBLES = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_INVISIBLES}]+")
_LETTERS_BETWEEN = re.compile(f"[A-Za-z][{_INVISIBLES}]+(?=[A-Za-z])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n\s*\n+")
# whole runs of letters with a foreign one; tried at the start of a run only, or a long ASCII run costs its square
_WORD = re.compile(r"(?<![^\W\d_])[a-zA-Z]*[^\x00-\x7f\W\d_][^\W\d_]*")
_ASCII_LETTER = re.compile("[a-zA-Z]")
# four or more single letters with the same separator between: v i a g r a, v.i.a.g.r.a, v - i - a - g - r - a
_SPACED = re.compile(r"(?<![^\W_])([^\W\d_])([ .\-_*|~+,/·•]| [.\-_*|~+/·•] )(?:[^\W\d_]\2){2,40}[^\W\d_](?![^\W_])")
# what remains of combining marks when the compatibility forms are composed: strokes, dots and heaps of accents
_MARK = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_MARKS = re.compile(f"(?<=[A-Za-z\u00c0-\u052f\u1e00-\u1eff]){_MARK}+")
_MARKED = re.compile(f"(?:[A-Za-z]{_MARK}+){{2,}}")
# letters made of signs: three of them in a row are a word that was meant to be read
_SIGNS = re.compile(
    "[\u24b6-\u24e9\U0001d400-\U0001d7cb\U0001f130-\U0001f149\U0001f150-\U0001f169\U0001f170-\U0001f189ᴀ-ᴢꜰꜱɢɪɴʀʏʙʜʟ]{3,}"
)

_LOOK_ALIKE = str.maketrans(
    {
        **dict(zip("аеорсухіјѕһԁԛԝӏкмтвнгпьяшєэүґ", "aeopcyxijshdqwlkmtbhrnbrweeyr", strict=True)),
        **dict(zip("АВЕКМНОРСТУХІЈЅЗЬЯҮҺ", "ABEKMHOPCTYXIJS3bRYh", strict=True)),
        **dict(zip("ΑαΒΕΖΗΙΚΜΝΟΡΤΥΧονρτυικγςωηεσϳχ", "AaBEZHIKMNOPTYXovptuikycwneojx", strict=True)),
        **dict(zip("ıȷɑɡɩοσѵғԍցոսհօҽաք", "ijagloovfggnuhoewp", strict=True)),
        **dict(zip("ƅƈɗəƒɠɦħɨƙĸɭƚɱɳɵƥɾʂƭŧʈʉʋⱱƴɏʐƶ", "bcdefghhikkllmnoprstttuvvyyzz", strict=True)),
        **dict(zip("ᎪᏴᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᎡᏚᎢᏙᎳᏃ", "ABCDEGHiJKLMPRSTVWZ", strict=True)),
        **dict(zip("ꓐꓑꓓꓔꓖꓗꓙꓚꓜꓝꓟꓠꓡꓢꓣꓦꓧꓪꓫꓬꓮꓰꓲꓳꓴ", "BPDTGKJCZFMNLSRVHWXYAEIOU", strict=True)),
        **{"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"},
    }
)
_LATIN: dict[int, str] = str.maketrans(
    {
        **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True)),
        **{chr(start + n): chr(ord("A") + n) for start in (0x1F150, 0x1F170) for n in range(26)},
        # lunate sigmas, before their compatibility forms turn them away from their shape; a blank that is no space
        **{"ϲ": "c", "Ϲ": "C", "\u2800": " "},
    }
)  # fmt: skip
# digits and signs for letters inside a word: m0ney, v1agra, c@sh. Not b2b, mp3s, WC1N, 0xd0eb, root@localhost, any URL
_LEET = re.compile(
    r"(?<![\w./:@=+\-&%#?$|\\])(?=[\w@$]{4,24}(?![\w/@=+&%#$|\\-]|[.:][\w/]))(?![0-9a-fA-F]+(?![\w@$]))"
    r"(?!\w{0,20}(?:mp3|ext3|id3|py3|sha1|ct3d|3xx)|s3)"
    r"[A-Za-z][a-z]*(?:(?:[013$]|(?:(?<![a-z]{3})@|@(?![a-z]{3}))(?![a-z]*\.\.))[a-z]+)+(?!\w)"
)
_SIGN = {"0": "o", "3": "e", "$": "s", "@": "a"}
_FOREIGN = re.compile("[\u0370-\u058f\u13a0-\u13ff\ua4d0-\ua4ff]")


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
        text = _INVISIBLE.sub("", text)
        signs = len(_SIGNS.findall(text))
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text.translate(_LATIN)))
        marked = len(_MARKED.findall(text))
        text, look_alikes = _fold_look_alikes(_MARKS.sub("", text))
        look_alikes += signs + marked
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text)
    text, leet = _LEET.subn(_letters, text)
    look_alikes += leet if leet > 1 else 0  # a single one may be a name
    text, spaced = _SPACED.subn(_join, text)
    text = _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", text))
    return Normalised(text.strip(), invisible, look_alikes, spaced)


def squeezed(text: str) -> str:
    """The text without what may pad it to any length: invisible characters and runs of blanks."""
    return _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", text if text.isascii() else _INVISIBLE.sub("", text)))


def _join(match: re.Match[str]) -> str:
    return match.group().replace(match.group(2), "")


def _letters(match: re.Match[str]) -> str:
    """The letters that digits and signs stand for; 1 is an l beside an i, behind a vowel, and in pl, kl, bl, fl, gl."""
    word = match.group()
    letters = []
    for before, sign, after in zip(" " + word, word, word[1:] + " ", strict=False):
        if sign == "1":
            is_l = "i" in (before, after) or before in "aeou" or (before in "pkbfg" and after in "aeou")
            letters.append("l" if is_l else "i")
        else:
            letters.append(_SIGN.get(sign, sign))
    return "".join(letters)


def _fold_look_alikes(text: str) -> tuple[str, int]:
    folded = 0

    def fold(match: re.Match[str]) -> str:
        nonlocal folded
        word = match.group()
        if not _ASCII_LETTER.search(word):
            return word  # a word of one foreign script is just that
        latin = _latin(word)
        if latin.isascii() and any(ord(c) in _LOOK_ALIKE and ord(c) > 0x24F for c in word):
            folded += 1
        return latin if latin.isascii() else word

    text = _WORD.sub(fold, text)
    if _FOREIGN.search(text):
        text, whole = _fold_whole_words(text, folded)
        folded += whole
    return text, folded


def _fold_whole_words(text: str, mixed: int) -> tuple[str, int]:
    """Folds words of look-alikes only, where the text has hardly a word of the script that they are taken from."""
    foreign = [word for word in _WORD.findall(text) if _FOREIGN.match(word)]
    passing = {word for word in set(foreign) if len(word) > 1 and _latin(word).isascii()}
    count = sum(word in passing for word in foreign)
    honest = len(foreign) - count
    few = not mixed and (count < 3 or len(_ASCII_LETTER.findall(text)) < 20)
    if not count or few or honest * 8 > count + mixed:
        return text, 0
    return _WORD.sub(lambda match: _latin(match.group()) if match.group() in passing else match.group(), text), count


def _latin(word: str) -> str:
    """The word in the letters that it passes for; accents go where only ASCII letters are left without them."""
    latin = word.translate(_LOOK_ALIKE)
    if latin.isascii():
        return latin
    # accents on Latin words are honest; drop them so that "prêt" and its tricks read alike
    bare = "".join(c for c in unicodedata.normalize("NFD", latin) if not unicodedata.combining(c))
    return bare.translate(_LOOK_ALIKE)
