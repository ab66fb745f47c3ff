"""Undoes what is done to text so that filters misread it, and says what was undone.

Unicode compatibility forms, invisible characters, look-alike letters, l33t inside words, s p a c e d words. The counts
become facts: nobody writes "Раураl" with Cyrillic letters by accident. Source of look-alikes: Unicode TS 39's idea of
confusables, cut down to letters that pass for Latin ones in common fonts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_letters, ascii_lowercase, ascii_uppercase

VERSION = 2
"""Part of the extraction version: a bundle trained with another one is refused."""

BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
"""Most of a text is ASCII: what concerns other characters is looked for among these."""
_INVISIBLES = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_INVISIBLES}]+")
_LETTERS_BETWEEN = re.compile(f"[A-Za-z][{_INVISIBLES}]+(?=[A-Za-z])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_ASCII_CONTROL = bytes([*range(9), 11, 12, *range(14, 32), 127])
_ODD_SPACE = re.compile(r"[^\S \n]")
_BLANK_LINES = re.compile(r"\n\s*\n+")
# runs of letters from a foreign one on; `_words_with_foreign` adds the ASCII letters before it
_FOREIGN_LETTERS = re.compile(r"[^\x00-\x7f\W\d_][^\W\d_]*")
_ASCII_LETTER = re.compile("[a-zA-Z]")
# four or more single letters with the same separator between: v i a g r a, v.i.a.g.r.a, v - i - a - g - r - a
_SPACED = re.compile(r"(?<![^\W_])([^\W\d_])([ .\-_*|~+,/·•]| [.\-_*|~+/·•] )(?:[^\W\d_]\2){2,40}[^\W\d_](?![^\W_])")
# for a first look: letters as "a" (those beyond ASCII come as "?"), the rest as blanks
_SHAPE = bytes(97 if chr(n).isalpha() or chr(n) == "?" else 32 for n in range(128)) * 2
# what remains of combining marks when the compatibility forms are composed: strokes, dots and heaps of accents
_MARK = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_MARKS = re.compile(f"(?<=[A-Za-z\u00c0-\u052f\u1e00-\u1eff]){_MARK}+")
_ANY_MARK = re.compile(_MARK)
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
# what each such word holds: a letter, then a sign that is no part of an address, then a letter
_LEET_SIGN = re.compile(r"[013$@](?<=[A-Za-z].)(?:(?<!@)|(?<![a-z]{3}@)|(?![a-z]{3}))(?=[a-z])")
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
        text, invisible, look_alikes = _folded(text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.encode().translate(None, _ASCII_CONTROL).decode() if text.isascii() else _CONTROL.sub("", text)
    text, leet = _without_leet(text)
    look_alikes += leet if leet > 1 else 0  # a single one may be a name
    if _may_be_spaced(text):
        text, spaced = _SPACED.subn(_join, text)
    text = _BLANK_LINES.sub("\n\n", _single_blanks(text))
    return Normalised(text.strip(), invisible, look_alikes, spaced)


def squeezed(text: str) -> str:
    """The text without what may pad it to any length: invisible characters and runs of blanks."""
    return _BLANK_LINES.sub("\n\n", _single_blanks(text if text.isascii() else _INVISIBLE.sub("", text)))


def _single_blanks(text: str) -> str:
    """Each run of white space other than line feeds as one blank."""
    if text.isascii():
        for space in "\t\r\x0b\x0c\x1c\x1d\x1e\x1f":
            text = text.replace(space, " ")
    else:
        text = _ODD_SPACE.sub(" ", text)
    while "  " in text:  # halves the longest run, in a tenth of the time that a pattern takes
        text = text.replace("  ", " ")
    return text


def _folded(text: str) -> tuple[str, int, int]:
    """Text without invisible characters, compatibility forms and look-alikes, and the counts of the first and last.

    Each step is taken only where a character beyond ASCII asks for it.
    """
    invisible = marked = 0
    odd = _beyond_ascii(text)
    if _INVISIBLE.search(odd):
        invisible = len(_LETTERS_BETWEEN.findall(text))
        text = _INVISIBLE.sub("", text)
        odd = _beyond_ascii(text)
    signs = len(_SIGNS.findall(odd))
    if not _LATIN.keys().isdisjoint(map(ord, odd)):
        text = text.translate(_LATIN)
    text = unicodedata.normalize("NFKC", text)
    odd = _beyond_ascii(text)
    if _INVISIBLE.search(odd):
        text = _INVISIBLE.sub("", text)
        odd = _beyond_ascii(text)
    if _ANY_MARK.search(odd):
        marked = len(_MARKED.findall(text))
        text = _MARKS.sub("", text)
    look_alikes = 0
    if _FOREIGN_LETTERS.search(odd):
        text, look_alikes = _fold_look_alikes(text)
    return text, invisible, look_alikes + signs + marked


def _beyond_ascii(text: str) -> str:
    """The runs of characters beyond ASCII, with blanks between them."""
    return " ".join(BEYOND_ASCII.findall(text))


def _without_leet(text: str) -> tuple[str, int]:
    """Words with digits and signs for letters in plain letters, and how many there were.

    `_LEET` is tried only at words with a sign between letters: the rare sign is found first, then the word's start.
    """
    pieces: list[str] = []
    at = 0
    for sign in _LEET_SIGN.finditer(text):
        start = sign.start()
        if start < at:
            continue
        before = text[max(at, start - 24) : start]
        start -= len(before) - len(before.rstrip(ascii_lowercase))
        if start > at and text[start - 1] in ascii_uppercase:
            start -= 1
        word = _LEET.match(text, start)
        if word:
            pieces += text[at:start], _letters(word)
            at = word.end()
    return "".join(pieces) + text[at:] if pieces else text, len(pieces) // 2


def _may_be_spaced(text: str) -> bool:
    """Whether four single letters stand apart, by one character or three: without them `_SPACED` finds nothing."""
    if "·" in text or "•" in text:
        return True
    shape = b" %b " % text.encode("ascii", "replace").translate(_SHAPE)
    return b" a a a a " in shape or b" a   a   a   a " in shape


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

    def fold(word: str) -> str:
        nonlocal folded
        if not _ASCII_LETTER.search(word):
            return word  # a word of one foreign script is just that
        latin = _latin(word)
        if latin.isascii() and any(ord(c) in _LOOK_ALIKE and ord(c) > 0x24F for c in word):
            folded += 1
        return latin if latin.isascii() else word

    text = _words_with_foreign(text, fold)
    if _FOREIGN.search(text):
        text, whole = _fold_whole_words(text, folded)
        folded += whole
    return text, folded


def _words_with_foreign(text: str, changed: Callable[[str], str]) -> str:
    """The text with each run of letters that has one beyond ASCII changed."""
    pieces: list[str] = []
    at = 0
    for letters in _FOREIGN_LETTERS.finditer(text):
        before = text[at : letters.start()]
        kept = before.rstrip(ascii_letters)
        pieces += kept, changed(before[len(kept) :] + letters.group())
        at = letters.end()
    return "".join(pieces) + text[at:]


def _fold_whole_words(text: str, mixed: int) -> tuple[str, int]:
    """Folds words of look-alikes only, where the text has hardly a word of the script that they are taken from."""
    words: list[str] = []
    _words_with_foreign(text, lambda word: words.append(word) or word)  # type: ignore[func-returns-value]
    foreign = [word for word in words if _FOREIGN.match(word)]
    passing = {word for word in set(foreign) if len(word) > 1 and _latin(word).isascii()}
    count = sum(word in passing for word in foreign)
    honest = len(foreign) - count
    few = not mixed and (count < 3 or len(_ASCII_LETTER.findall(text)) < 20)
    if not count or few or honest * 8 > count + mixed:
        return text, 0
    return _words_with_foreign(text, lambda word: _latin(word) if word in passing else word), count


def _latin(word: str) -> str:
    """The word in the letters that it passes for; accents go where only ASCII letters are left without them."""
    latin = word.translate(_LOOK_ALIKE)
    if latin.isascii():
        return latin
    # accents on Latin words are honest; drop them so that "prêt" and its tricks read alike
    bare = "".join(c for c in unicodedata.normalize("NFD", latin) if not unicodedata.combining(c))
    return bare.translate(_LOOK_ALIKE)
