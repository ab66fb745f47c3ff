"""Known evasion tricks applied to raw messages, so that a filter's robustness is a figure and not a hope.

Each attack keeps the mail valid and the message readable for a person. All header fields but Content-* and MIME-Version
stay byte for byte as they were (`subject-only` alone rewrites the subject); parts that are no text stay in place behind
the text. Sources: the tricks of the SpamAssassin rule base, Wittel and Wu 2004, Lowd and Meek 2005 (good words).
"""

from __future__ import annotations

import base64
import html as entities
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.header import Header
from itertools import pairwise
from random import Random

import numpy as np

from spamfilter.charsets import decode_text
from spamfilter.message import Kind
from trainer.augment import LEET, GoodWords
from trainer.evaluation.mail_parts import Mail, leaf, multipart, put_together, take_apart, written

GOOD_WORDS = 150
PADDING = 200_000
"""Characters of harmless text before or behind the message."""

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u2063\ufe0f\U000e0061\u115f\ufff9\U0001d173"
_LOOK_ALIKES = {
    "a": "аα", "b": "Ьƅ", "c": "сϲ", "d": "ԁ", "e": "еҽ", "g": "ɡց", "h": "һհ", "i": "іι", "j": "јϳ", "k": "кκ",
    "l": "ӏ", "m": "м", "n": "ո", "o": "оοօ", "p": "рρ", "q": "ԛ", "r": "г", "s": "ѕ", "t": "т", "u": "υս",
    "v": "νѵ", "w": "ԝա", "x": "хχ", "y": "уγ", "z": "ᴢ", "A": "АΑ", "B": "ВΒ", "C": "СϹ", "E": "ЕΕ", "H": "НΗ",
    "I": "ІΙ", "J": "Ј", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ",
    "X": "ХΧ", "Y": "ҮΥ", "Z": "Ζ",
}  # fmt: skip
_SMALL_CAPITALS = dict(zip("abcdefghijklmnoprtuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ", strict=True))
_STARTS = {"mathematical": 0x1D41A, "script": 0x1D4EA, "full width": 0xFF41, "circled": 0x24D0}
_SQUARED = (0x1F130, 0x1F150, 0x1F170)
_ACCENTS = {"a": "áàâãäå", "e": "éèêë", "i": "íìîï", "o": "óòôõö", "u": "úùûü", "c": "ç", "n": "ñ", "y": "ýÿ"}
_STRIKES = "\u0335\u0336\u0337\u0338\u0323\u0332\u0353\u20d2"
_SEPARATORS = (" ", ".", "-", "_", "*", "·", "\u2009", "/", "|", ",", "  ")
_HIDDEN = (
    '<span style="display:none">{}</span>', '<div style="font-size:0px">{}</div>', '<font color="#ffffff">{}</font>',
    '<span style="color:white">{}</span>', '<div style="visibility:hidden">{}</div>', "<!-- {} -->",
    '<span style="font:0/0 a">{}</span>', '<span style="color:transparent">{}</span>', "<p hidden>{}</p>",
    '<div style="height:0;width:0;overflow:hidden">{}</div>', '<div style="position:absolute;left:-9999px">{}</div>',
    '<div style="opacity:0.01">{}</div>', '<div style="background:#fefefe;color:#fdfdfd">{}</div>',
    '<style>.q7{{font-size:1px}} div.k2 {{display:none}}</style><div class="k2">{}</div>',
)  # fmt: skip
_SPLITTERS = (
    "<!--{}-->", '<span style="display:none">{}</span>', '<span style="font-size:0">{}</span>', "<b></b>", "<wbr>",
    '<font style="font-size:0px;color:#fff">{}</font>', "&#8203;", "&shy;", "<span></span>", "&zwnj;",
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z]{3,}")
_MARKUP = re.compile(r"<!--.*?(?:-->|$)|<(script|style|title)\b.*?</\1\s*>|<[^>]*>|&#?\w+;|https?://\S+", re.S | re.I)


@dataclass(frozen=True, slots=True)
class Chance:
    """What an attack draws from: a generator of its own, and ham's words."""

    random: Random
    rng: np.random.Generator
    good: GoodWords


OfText = Callable[[str, Chance], str]
OfMail = Callable[[Mail, Chance], bytes]


@dataclass(frozen=True, slots=True)
class Attack:
    """A trick: `function` rewrites raw bytes of one of `kinds`."""

    function: Callable[[bytes, Kind, Chance], bytes]
    description: str
    kinds: frozenset[Kind]

    def __call__(self, raw: bytes, kind: Kind, seed: int, good: GoodWords) -> bytes:
        """The attacked message, the same for the same arguments; unchanged where it has no text or another kind."""
        if kind not in self.kinds or not has_text(raw, kind):
            return raw
        key = (seed, zlib.crc32(self.description.encode()), zlib.crc32(raw))
        return self.function(raw, kind, Chance(Random(repr(key)), np.random.default_rng(key), good))


def has_text(raw: bytes, kind: Kind) -> bool:
    """False for a mail that shows an image only, or nothing: there is nothing to disguise."""
    if kind is Kind.TEXT:
        return bool(raw.strip())
    return len(_WORD.findall(take_apart(raw).text)) >= 3


def _in_html(page: str, change: Callable[[str], str]) -> str:
    """`change` applied to the text between tags, entities and URLs."""
    pieces, end = [], 0
    for match in _MARKUP.finditer(page):
        pieces += [change(page[end : match.start()]), match.group()]
        end = match.end()
    return "".join([*pieces, change(page[end:])])


def _in_texts(change: OfText) -> Callable[[bytes, Kind, Chance], bytes]:
    """An attack on words: in bare texts, in plain parts and between the tags of pages alike."""

    def attack(raw: bytes, kind: Kind, chance: Chance) -> bytes:
        if kind is Kind.TEXT:
            return change(decode_text(raw, None), chance).encode()
        mail = take_apart(raw)
        plain = _in_html(mail.plain, lambda text: change(text, chance))
        return written(replace(mail, plain=plain, html=_in_html(mail.html, lambda text: change(text, chance))))

    return attack


def _around(change: Callable[[str, bool, Chance], str]) -> Callable[[bytes, Kind, Chance], bytes]:
    """An attack that puts text around the whole; told whether it is a page."""

    def attack(raw: bytes, kind: Kind, chance: Chance) -> bytes:
        if kind is Kind.TEXT:
            return change(decode_text(raw, None), False, chance).encode()
        mail = take_apart(raw)
        plain = change(mail.plain, False, chance) if mail.plain.strip() else ""
        return written(replace(mail, plain=plain, html=change(mail.html, True, chance) if mail.html.strip() else ""))

    return attack


def _of_mail(rewrite: OfMail) -> Callable[[bytes, Kind, Chance], bytes]:
    return lambda raw, kind, chance: rewrite(take_apart(raw), chance)


def _words(text: str, chance: Chance, change: Callable[[str], str], share: float = 0.6) -> str:
    return _WORD.sub(lambda match: change(match.group()) if chance.random.random() < share else match.group(), text)


def zero_width(text: str, chance: Chance) -> str:
    """An invisible character between the letters of most words."""
    return _words(text, chance, lambda word: "".join(c + chance.random.choice(INVISIBLE) for c in word[:-1]) + word[-1])


def look_alikes(text: str, chance: Chance) -> str:
    """A third of the letters of most words from Cyrillic, Greek and Armenian."""
    draw = chance.random
    return _words(
        text, chance,
        lambda word: "".join(draw.choice(_LOOK_ALIKES.get(c, c)) if draw.random() < 0.34 else c for c in word),
    )  # fmt: skip


def foreign_words(text: str, chance: Chance) -> str:
    """Every letter that has a look-alike replaced, so that many words hold no Latin letter at all."""
    return _words(text, chance, lambda word: "".join(_LOOK_ALIKES.get(c, c)[0] for c in word))


def fancy_letters(text: str, chance: Chance) -> str:
    """Mathematical, full-width, circled, squared letters and small capitals."""

    def change(word: str) -> str:
        style = chance.random.choice([*_STARTS, "small capitals", "squared"])
        if style == "small capitals":
            return "".join(_SMALL_CAPITALS.get(c, c) for c in word.lower())
        start = _STARTS.get(style) or chance.random.choice(_SQUARED)
        return "".join(chr(start + ord(c) - ord("a")) for c in word.lower())

    return _words(text, chance, change)


def accents(text: str, chance: Chance) -> str:
    """Accents and strikes over the letters of most words."""
    draw = chance.random

    def change(word: str) -> str:
        if draw.random() < 0.5:
            return "".join(draw.choice(_ACCENTS.get(c, c)) for c in word)
        return "".join(c + draw.choice(_STRIKES) for c in word)

    return _words(text, chance, change)


def leet(text: str, chance: Chance) -> str:
    """Digits and signs for about half of the letters of most words."""
    draw = chance.random
    return _words(
        text, chance,
        lambda word: "".join(draw.choice(LEET[c]) if c in LEET and draw.random() < 0.5 else c for c in word),
    )  # fmt: skip


def leet_light(text: str, chance: Chance) -> str:
    """One vowel inside most words as a digit or sign: v1agra, m0ney, c@sh."""

    def change(word: str) -> str:
        places = [at for at in range(1, len(word) - 1) if word[at] in "aieo"]
        if not places:
            return word
        at = chance.random.choice(places)
        return word[:at] + {"a": "@", "i": "1", "e": "3", "o": "0"}[word[at]] + word[at + 1 :]

    return _words(text, chance, change)


def spaced(text: str, chance: Chance) -> str:
    """A third of the words with a sign or blank between any two letters."""

    def change(word: str) -> str:
        return chance.random.choice(_SEPARATORS).join(word) if len(word) >= 4 else word

    return _words(text, chance, change, 0.34)


def cut_words(text: str, chance: Chance) -> str:
    """A blank or hyphen somewhere inside most longer words: via gra."""

    def change(word: str) -> str:
        at = chance.random.randrange(1, len(word))
        return f"{word[:at]}{chance.random.choice(' -.')}{word[at:]}" if len(word) >= 5 else word

    return _words(text, chance, change)


def _beside(page: str, before: str, after: str) -> str:
    """Markup put at the start and the end of a page's body."""
    start, end = re.search(r"<body[^>]*>", page, re.I), re.search(r"</body\s*>", page, re.I)
    first = start.end() if start else 0
    last = max(first, end.start() if end else len(page))
    return page[:first] + before + page[first:last] + after + page[last:]


def _words_beside(text: str, page: bool, before: str, after: str) -> str:
    """Lines of text put above and below a text or a page."""
    if page:
        return _beside(text, *(f"<p>{entities.escape(words)}</p>" if words else "" for words in (before, after)))
    return "\n".join(words for words in (before, text, after) if words)


def _good(chance: Chance, words: int = GOOD_WORDS) -> str:
    return chance.good.draw(chance.rng, words, words)


def _padding(chance: Chance) -> str:
    block = "\n".join(_good(chance) for _ in range(40))
    return (block * (PADDING // len(block) + 1))[:PADDING]


def hidden_words(mail: Mail, chance: Chance) -> bytes:
    """Good words in a page, hidden in one of many ways, before and behind the text."""
    page = mail.page
    for _ in range(3):
        hidden = chance.random.choice(_HIDDEN).format(entities.escape(_good(chance, 60)))
        body = re.search(r"<body[^>]*>", page, re.I)
        at = (
            body.end()
            if body and chance.random.random() < 0.7
            else len(page)
            if not body
            else page.lower().rfind("</body")
        )
        at = at if at >= 0 else len(page)
        page = page[:at] + hidden + page[at:]
    return put_together(mail, leaf(page, "html"))


def hidden_split(mail: Mail, chance: Chance) -> bytes:
    """Words of a page cut by comments, empty tags and hidden spans."""
    draw = chance.random

    def change(word: str) -> str:
        at = draw.randrange(1, len(word))
        filler = "".join(draw.choice("abcdefghiklmnoprstuvw") for _ in range(4))
        return word[:at] + draw.choice(_SPLITTERS).format(filler) + word[at:]

    return put_together(mail, leaf(_in_html(mail.page, lambda text: _words(text, chance, change)), "html"))


def decoy_alternative(mail: Mail, chance: Chance) -> bytes:
    """Good words as the plain alternative of the page that is shown."""
    return put_together(mail, multipart("alternative", leaf(_good(chance)), leaf(mail.page, "html")))


def split_parts(mail: Mail, chance: Chance) -> bytes:
    """The text cut over several plain parts, within words."""
    text = mail.text
    count = min(6, max(2, len(text) // 40))
    cuts = [len(text) * number // count for number in range(count + 1)]
    return put_together(mail, multipart("mixed", *(leaf(text[a:b]) for a, b in pairwise(cuts))))


def split_alternative(mail: Mail, chance: Chance) -> bytes:
    """First half as plain text, second half as a page behind it."""
    lines = mail.text.split("\n")
    half = max(1, len(lines) // 2)
    page = entities.escape("\n".join(lines[half:])).replace("\n", "<br>\n")
    return put_together(mail, multipart("related", leaf("\n".join(lines[:half])), leaf(f"<p>{page}</p>", "html")))


def subject_only(mail: Mail, chance: Chance) -> bytes:
    """The first 150 characters of the text as the subject, a harmless line as the body."""
    text = " ".join(mail.text.split())[:150]
    encoded = Header(text, "us-ascii" if text.isascii() else "utf-8", header_name="Subject", maxlinelen=76).encode()
    fields = [field for field in mail.fields if not field.lower().startswith(b"subject:")]
    return put_together(
        replace(mail, fields=(*fields, b"Subject: " + encoded.encode() + b"\n")), leaf(_good(chance, 12) + "\n")
    )


def wrong_charset(mail: Mail, chance: Chance) -> bytes:
    """A charset that the text is not in: ASCII reads alike in all of these, for other text programs guess."""
    names = ("koi8-r", "gb2312", "x-unknown", "iso-2022-jp", "iso-8859-8")
    ascii_only = mail.plain.isascii() and mail.html.isascii()
    return written(mail, charset=chance.random.choice(names) if ascii_only else "x-unknown")


def undeclared(mail: Mail, chance: Chance) -> bytes:
    """Typographic signs in raw UTF-8 without any declaration."""
    curly = str.maketrans({"'": "\u2019", " ": "\u00a0"})
    text = mail.plain.translate(curly) if mail.plain.strip() else mail.html.replace(" the ", "\u00a0the\u00a0")
    kind = b"plain" if mail.plain.strip() else b"html"
    return put_together(mail, b"Content-Type: text/" + kind + b"\n\n" + text.encode("utf-8", "replace"))


def utf_7(mail: Mail, chance: Chance) -> bytes:
    """UTF-7, every letter of most words in its base64 form."""

    def encode(match: re.Match[str]) -> str:
        return "+" + base64.b64encode(match.group().encode("utf-16-be", "replace")).rstrip(b"=").decode() + "-"

    text = re.sub("[A-Za-z]{3,}|[^\x00-\x7f]+", encode, mail.text.replace("+", "+-"))
    return put_together(mail, leaf(text, charset="utf-7", encoding="7bit"))


def utf_16(mail: Mail, chance: Chance) -> bytes:
    """UTF-16 in base64, with or without its mark."""
    codec = chance.random.choice(("utf-16", "utf-16le", "utf-16be"))
    return put_together(mail, leaf(mail.text.encode(codec, "replace"), charset=codec, encoding="base64"))


def broken_base64(mail: Mail, chance: Chance) -> bytes:
    """base64 in odd line lengths, with signs between that decoders skip."""
    head, body = leaf(mail.text, encoding="base64").split(b"\n\n", 1)
    letters, lines = body.replace(b"\n", b""), []
    while letters:
        size = chance.random.choice((3, 7, 13, 61, 77))
        lines.append(letters[:size] + chance.random.choice((b"", b" ", b"!", b"\t", b"-")))
        letters = letters[size:]
    return put_together(mail, head + b"\n\n" + b"\n".join(lines) + b"\n")


def nested(mail: Mail, chance: Chance) -> bytes:
    """The text in base64, in a multipart in a multipart, inside an attached message."""
    inner = multipart("mixed", multipart("alternative", leaf(mail.text, encoding="base64")))
    return put_together(
        mail, multipart("mixed", b"Content-Type: message/rfc822\n\nSubject: fwd\nMIME-Version: 1.0\n" + inner)
    )


def odd_header_spelling(mail: Mail, chance: Chance) -> bytes:
    """Upper case, folds, blanks before the colon, comments and missing quotes in the MIME fields."""
    body = base64.encodebytes(mail.text.encode("utf-8", "replace"))
    head = chance.random.choice(
        (
            b"CONTENT-TYPE: TEXT/PLAIN; CHARSET=UTF-8\nCONTENT-TRANSFER-ENCODING: BASE64\n",
            b"content-type:text/plain;\n\tcharset=\n utf-8\ncontent-transfer-encoding:\n base64\n",
            b"Content-Type : text/plain (text); charset = 'utf-8'\nContent-Transfer-Encoding :  Base64 \n",
            b"Content-Transfer-Encoding: base64 (really)\nContent-Type: text/plain charset=utf-8\n",
            b'Content-Type: text/plain; charset*0="ut"; charset*1="f-8"\nContent-Transfer-Encoding: "base64"\n',
            b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64;\n",
        )
    )
    return put_together(mail, head + b"\n" + body)


def _text_attack(change: OfText) -> Attack:
    return Attack(_in_texts(change), _first_line(change), frozenset(Kind))


def _mail_attack(rewrite: OfMail, description: str = "") -> Attack:
    return Attack(_of_mail(rewrite), description or _first_line(rewrite), frozenset({Kind.MAIL}))


def _beside_attack(change: Callable[[str, bool, Chance], str], description: str, *kinds: Kind) -> Attack:
    return Attack(_around(change), description, frozenset(kinds))


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").splitlines()[0]


ATTACKS: dict[str, Attack] = {
    "rebuilt": _mail_attack(lambda mail, _: written(mail), "No trick: taken apart and put together, as a control."),
    "zero-width": _text_attack(zero_width),
    "look-alikes": _text_attack(look_alikes),
    "foreign-words": _text_attack(foreign_words),
    "fancy-letters": _text_attack(fancy_letters),
    "accents": _text_attack(accents),
    "leet": _text_attack(leet),
    "leet-light": _text_attack(leet_light),
    "spaced": _text_attack(spaced),
    "cut-words": _text_attack(cut_words),
    "good-words-before": _beside_attack(
        lambda text, page, chance: _words_beside(text, page, _good(chance), ""),
        "150 good words before the text.",
        *Kind,
    ),
    "good-words-after": _beside_attack(
        lambda text, page, chance: _words_beside(text, page, "", _good(chance)),
        "150 good words behind the text.",
        *Kind,
    ),
    "padding-before": _beside_attack(
        lambda text, page, chance: _words_beside(text, page, _padding(chance), ""), "200 kB of ham before.", Kind.MAIL
    ),
    "padding-after": _beside_attack(
        lambda text, page, chance: _words_beside(text, page, "", _padding(chance)), "200 kB of ham behind.", Kind.MAIL
    ),
    "blanks-before": _beside_attack(
        lambda text, page, chance: _words_beside(text, page, " \n" * (PADDING // 2), ""),
        "200 kB of blanks before.",
        *Kind,
    ),
    "blanks-after": _beside_attack(
        lambda text, page, chance: _words_beside(text, page, "", "\n \t" * (PADDING // 3)),
        "200 kB of blanks behind.",
        *Kind,
    ),
    "hidden-words": _mail_attack(hidden_words),
    "hidden-split": _mail_attack(hidden_split),
    "decoy-alternative": _mail_attack(decoy_alternative),
    "split-parts": _mail_attack(split_parts),
    "split-alternative": _mail_attack(split_alternative),
    "subject-only": _mail_attack(subject_only),
    "wrong-charset": _mail_attack(wrong_charset),
    "undeclared-charset": _mail_attack(undeclared),
    "utf-7": _mail_attack(utf_7),
    "utf-16": _mail_attack(utf_16),
    "quoted-every-byte": _mail_attack(
        lambda mail, _: written(mail, charset="utf-8", encoding="quoted-printable"), "Every byte quoted-printable."
    ),
    "base64": _mail_attack(lambda mail, _: written(mail, charset="utf-8", encoding="base64"), "Texts in base64."),
    "broken-base64": _mail_attack(broken_base64),
    "nested": _mail_attack(nested),
    "odd-header-spelling": _mail_attack(odd_header_spelling),
}
"""Name -> attack. `rebuilt` is the control that every other row is read against."""
