"""Training views of a message: what evasion leaves of a text after extraction; no trick may speak for either class.

Extraction undoes most tricks (`spamfilter.normalise`, `html_text`); what is learnt here is the residue that no rule
undoes without harm to honest text: leet, words cut in two, odd letters, stray markup, good words around the message.
Every function works on canonical text, takes no label, and draws from the given generator only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spamfilter.document import joined

REACH = 3_000
"""Characters from the start in which words are altered: about what a model's window reads."""
ODD_LETTERS = {
    "a": "αàåªǎ", "b": "ƅɓþ", "c": "ćçȼϲ", "d": "ɗđď", "e": "éëęəє", "g": "ǥĝɢ", "h": "ħһн", "i": "íïıɨ!", "k": "ķκĸ",
    "l": "ł|ĺɭ", "m": "мɱ", "n": "ñńηп", "o": "óöøσ¤", "p": "ρþ", "r": "ŕяɾ", "s": "śşѕ§", "t": "ţтŧ", "u": "úüυµ",
    "v": "νѵ", "w": "ŵωш", "x": "×χж", "y": "ýÿγ", "z": "žżƶ",
}  # fmt: skip
LEET = {"a": "@4", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1|", "o": "0", "s": "$5", "t": "7+", "z": "2"}
_STRAY = ("\ufffd", "·", "'", "`", "^", "~", "?", "¬", "°")
_MARKUP = ("<b>", "</b>", "<br>", "&nbsp;", "&amp;", "<font color=#ffffff>", "</span>", "=20", "=3d", "<!-- -->", "}")
_SEPARATORS = (" ", " ", ".", "-", "_", "*", "/", "·", " . ")
_WORD = re.compile(r"[a-z]{4,16}")


@dataclass(frozen=True, slots=True)
class Augment:
    """The probability of each treatment of one message, 0 to 1; `share` is the share of its words that is altered.

    `header_dropout` drops the whole preamble but at times the subject, `line_dropout` each line of one that stays.
    """

    header_dropout: float = 0.3
    line_dropout: float = 0.15
    crop: float = 0.15
    odd_letters: float = 0.04
    stray: float = 0.04
    spaced: float = 0.04
    leet: float = 0.06
    markup: float = 0.03
    good_before: float = 0.08
    good_after: float = 0.08
    share: float = 0.35


class GoodWords:
    """Runs of words from ham texts, to stand before or behind another message: as sentences, or in random order.

    Needs at least one text with words; raises ValueError otherwise. Memory: the first `most` texts, 4,000 characters
    each.
    """

    def __init__(self, ham_texts: Sequence[str], *, most: int = 5_000) -> None:
        step = max(1, len(ham_texts) // most)
        self._texts = [words for text in ham_texts[::step] if len(words := text[:4_000].split()) >= 5]
        if not self._texts:
            raise ValueError("good words need at least one ham text of five words")

    def draw(self, rng: np.random.Generator, least: int = 20, most: int = 150) -> str:
        """Between `least` and `most` words from one to four texts, joined by blanks."""
        wanted = int(rng.integers(least, most + 1))
        words: list[str] = []
        while len(words) < wanted:
            text = self._texts[int(rng.integers(len(self._texts)))]
            start = int(rng.integers(len(text)))
            words += text[start : start + max(wanted // 4, 5)]
        words = words[:wanted]
        if rng.random() < 0.3:
            words = [words[i] for i in rng.permutation(len(words))]
        return " ".join(words)


def varied(preamble: str, text: str, rng: np.random.Generator, settings: Augment, good: GoodWords | None = None) -> str:
    """One training view of a message: longer than what came in by four times `REACH` and 300 good words at most."""
    if preamble and rng.random() < settings.header_dropout:
        preamble = "\n".join(
            line for line in preamble.split("\n") if line.startswith("subject:") and rng.random() < 0.5
        )
    elif preamble:
        preamble = "\n".join(line for line in preamble.split("\n") if rng.random() >= settings.line_dropout)
    return joined(preamble, disguised(cropped(text, rng, settings.crop), rng, settings, good))


def disguised(text: str, rng: np.random.Generator, settings: Augment, good: GoodWords | None = None) -> str:
    """The text as tricks leave it; each trick by its own chance."""
    chances = rng.random(7)
    for chance, (name, trick) in zip(chances[:5], _TRICKS.items(), strict=True):
        if chance < getattr(settings, name):
            text = trick(text, rng, settings.share)
    if good is not None and chances[5] < settings.good_before:
        text = f"{good.draw(rng)} {text}"
    if good is not None and chances[6] < settings.good_after:
        text = f"{text} {good.draw(rng)}"
    return text


def cropped(text: str, rng: np.random.Generator, probability: float) -> str:
    """Now and then a long text from a later word on."""
    if len(text) > 600 and rng.random() < probability:
        start = int(rng.integers(0, len(text) - 300))
        return text[text.find(" ", start) + 1 :]
    return text


def odd_letters(text: str, rng: np.random.Generator, share: float) -> str:
    """Letters of some words replaced by accented, foreign or odd ones."""
    return _each_word(text, rng, share, lambda word, draw: _replace(word, draw, ODD_LETTERS))


def leet(text: str, rng: np.random.Generator, share: float) -> str:
    """Letters of some words replaced by digits and signs: v1agra, fr33, c@sh."""
    return _each_word(text, rng, share, lambda word, draw: _replace(word, draw, LEET))


def stray(text: str, rng: np.random.Generator, share: float) -> str:
    """What invisible characters and hidden spans leave inside words: a sign of no meaning, or a gap."""

    def cut(word: str, draw: float) -> str:
        at = 1 + int(draw * 997) % (len(word) - 1)
        sign = " " if draw < 0.5 else _STRAY[int(draw * 7919) % len(_STRAY)]
        return word[:at] + sign + word[at:]

    return _each_word(text, rng, share, cut)


def spaced(text: str, rng: np.random.Generator, share: float) -> str:
    """Some words with a sign between any two letters, the same for the whole text."""
    separator = _SEPARATORS[int(rng.integers(len(_SEPARATORS)))]
    return _each_word(text, rng, share / 2, lambda word, draw: separator.join(word))


def markup(text: str, rng: np.random.Generator, share: float) -> str:
    """Stray tags and entities between words, as from pages that were not read as pages."""
    if not text:
        return text
    words = text[:REACH].split(" ")
    for at in np.flatnonzero(rng.random(len(words)) < share / 3):
        words[at] = f"{words[at]}{_MARKUP[int(rng.integers(len(_MARKUP)))]}"
    return " ".join(words) + text[REACH:]


_TRICKS: dict[str, Callable[[str, np.random.Generator, float], str]] = {
    "odd_letters": odd_letters, "stray": stray, "spaced": spaced, "leet": leet, "markup": markup,
}  # fmt: skip


def _each_word(text: str, rng: np.random.Generator, share: float, change: Callable[[str, float], str]) -> str:
    """Applies `change(word, draw)` with 0 <= draw < 1 to a random share of the words of the head, at most 300."""
    head = text[:REACH]
    found = list(_WORD.finditer(head))
    picked = np.flatnonzero(rng.random(len(found)) < share)[:300]
    pieces, end = [], 0
    for at, draw in zip(picked.tolist(), rng.random(len(picked)).tolist(), strict=True):
        match = found[at]
        pieces += [head[end : match.start()], change(match.group(), draw)]
        end = match.end()
    return "".join([*pieces, head[end:], text[REACH:]])


def _replace(word: str, draw: float, table: dict[str, str]) -> str:
    """One replaceable letter, or every second one, or all."""
    places = [at for at, letter in enumerate(word) if letter in table]
    if not places:
        return word
    start = int(draw * 997) % len(places)
    chosen = places[start : start + 1] if draw < 0.5 else places[start % 2 :: 2] if draw < 0.8 else places
    letters = list(word)
    for number, at in enumerate(chosen):
        options = table[letters[at]]
        letters[at] = options[(int(draw * 7919) + number) % len(options)]
    return "".join(letters)
