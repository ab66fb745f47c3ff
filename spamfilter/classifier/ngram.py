"""The fast stage: a linear model over hashed word and character n-grams of the canonical text.

On small and familiar mail it is hard to beat; it is the honest baseline beside every GPT figure. Hashing keeps no words
in the bundle, and costs no dictionary. A long message is judged as a whole and by its worst passage, so that good
words before or behind a spam do not dilute it away. All arrays are NumPy; a message takes a millisecond or two.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

WORD_BITS = 18
CHAR_BITS = 19
DIMENSION = (1 << WORD_BITS) + (1 << CHAR_BITS)
HEAD_CHARACTERS = 4_000
PASSAGE_CHARACTERS = 1_000

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[^\w\s]", re.U)
_CHARS = (3, 4, 5)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


def passages(head: str, tail: str = "") -> list[str]:
    """What is judged apart: the head in pieces of about PASSAGE_CHARACTERS, cut at blanks, and the end of the tail.

    A text of one passage has no others: [].
    """
    text = head[:HEAD_CHARACTERS]
    found, start = [], 0
    while len(text) - start > PASSAGE_CHARACTERS * 5 // 4:
        cut = text.rfind(" ", start + PASSAGE_CHARACTERS // 2, start + PASSAGE_CHARACTERS)
        end = cut if cut > 0 else start + PASSAGE_CHARACTERS
        found.append(text[start:end])
        start = end
    found.append(text[start:])
    if tail:
        found.append(tail[-PASSAGE_CHARACTERS:])
    return found if len(found) > 1 else []


def whole(head: str, tail: str = "") -> str:
    """What is judged as one: the head and the end of the tail."""
    return f"{head[:HEAD_CHARACTERS]}\n{tail[-PASSAGE_CHARACTERS:]}" if tail else head[:HEAD_CHARACTERS]


def features(text: str) -> tuple[Ids, Floats]:
    """Sorted feature ids below DIMENSION of a text and their damped counts (1 + log n), both (n,).

    Words and pairs of words come first, n-grams of 3-5 bytes of UTF-8 behind `1 << WORD_BITS`. Words of the preamble's
    lines (`subject: ...`) also count under their line's name.
    """
    words, word_counts = np.unique(_words(text), return_counts=True)
    chars, char_counts = np.unique(_chars(text), return_counts=True)
    ids = np.concatenate([words, chars + (1 << WORD_BITS)]).astype(np.int32)
    counts = np.concatenate([word_counts, char_counts]).astype(np.float32)
    return ids, (1.0 + np.log(counts)).astype(np.float32)


def _words(text: str) -> npt.NDArray[np.int64]:
    hashes: list[int] = []
    previous = 0
    for word in _WORD.findall(text):
        value = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        hashes.append(value)
        hashes.append((value * 31 + previous * 17 + 7) & 0xFFFFFFFF)
        previous = value
    for line in text[:600].split("\n")[:5]:
        name, colon, rest = line.partition(": ")
        if colon and name in ("from", "subject", "links", "files", "flags"):
            salt = zlib.crc32(name.encode())
            hashes += [zlib.crc32(word.encode("utf-8", "surrogatepass"), salt) for word in rest.split()[:40]]
    return _mix(np.array(hashes, np.uint64), WORD_BITS)


def _chars(text: str) -> npt.NDArray[np.int64]:
    data = np.frombuffer(b" " + text.encode("utf-8", "surrogatepass") + b" ", np.uint8).astype(np.uint64)
    found = []
    for n in _CHARS:
        if len(data) < n:
            continue
        rolling = np.full(len(data) - n + 1, n, np.uint64)
        for offset in range(n):
            rolling = rolling * np.uint64(257) + data[offset : len(data) - n + 1 + offset]
        found.append(_mix(rolling, CHAR_BITS))
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _mix(values: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.int64]:
    """Multiplicative hashing (Knuth 6.4): the high bits of a product with 2^64 / golden ratio."""
    return ((values * _MULTIPLIER) >> np.uint64(64 - bits)).astype(np.int64)


def weigh(ids: Ids, counts: Floats, idf: Floats) -> Floats:
    """TF-IDF values (n,); the word part and the character part each have unit length."""
    values = counts * idf[ids]
    cut = int(np.searchsorted(ids, 1 << WORD_BITS))
    for part in (values[:cut], values[cut:]):
        norm = float(np.sqrt(np.dot(part, part)))
        if norm > 0:
            part /= norm
    return values


@dataclass(frozen=True, slots=True)
class NgramModel:
    """Weights (DIMENSION,) float32, inverse document frequencies (DIMENSION,), and a bias."""

    weights: Floats
    idf: Floats
    bias: float

    def score(self, head: str, tail: str = "") -> float:
        """The linear score of a rendered message: above 0 leans to spam."""
        return self.judge(head, tail)[0]

    def judge(self, head: str, tail: str = "") -> tuple[float, str]:
        """The score of a rendered message, and its worst passage, "" where that is the first one or the only one.

        The score is the mean of the whole's and the worst passage's.
        """
        score = self.score_text(whole(head, tail))
        texts = passages(head, tail)
        if not texts:
            return score, ""
        scores = [self.score_text(text) for text in texts]
        worst = max(range(len(texts)), key=scores.__getitem__)
        return (score + scores[worst]) / 2, texts[worst] if worst else ""

    def score_text(self, text: str) -> float:
        """The linear score of one text."""
        ids, counts = features(text)
        return float(np.dot(weigh(ids, counts, self.idf), self.weights[ids])) + self.bias

    def save(self, path: Path) -> None:
        """As a plain `.npz` of half-precision arrays."""
        np.savez_compressed(
            path,
            weights=self.weights.astype(np.float16),
            idf=self.idf.astype(np.float16),
            bias=np.float64(self.bias),
        )

    @classmethod
    def load(cls, path: Path) -> NgramModel:
        """From a bundle. Raises ValueError when the shapes are not this version's."""
        with np.load(path, allow_pickle=False) as arrays:
            weights, idf = arrays["weights"].astype(np.float32), arrays["idf"].astype(np.float32)
            bias = float(arrays["bias"])
        if weights.shape != (DIMENSION,) or idf.shape != (DIMENSION,):
            raise ValueError(f"{path}: expected arrays of {DIMENSION}, found {weights.shape} and {idf.shape}")
        return cls(weights, idf, bias)
