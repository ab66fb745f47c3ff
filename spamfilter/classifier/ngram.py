"""The fast stage: a linear model over hashed word and character n-grams of the canonical text.

On small and familiar mail it is hard to beat; it is the honest baseline beside every GPT figure. Hashing keeps no words
in the bundle, and costs no dictionary. A long message is judged as a whole and by its worst passage, so that good
words before or behind a spam do not dilute it away. All arrays are NumPy; a message takes one to five tenths of a
millisecond: what the whole and its passages share is hashed once, and one sort counts them all.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

WORD_BITS = 18
CHAR_BITS = 19
DIMENSION = (1 << WORD_BITS) + (1 << CHAR_BITS)
HEAD_CHARACTERS = 4_000
PASSAGE_CHARACTERS = 1_000

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[^\w\s]", re.U)
_NAMED = 600
_SALTS = {name: zlib.crc32(name.encode()) for name in ("from", "subject", "links", "files", "flags")}

_CHARS = (3, 4, 5)
_EDGE = max(_CHARS) - 1
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_BASE = np.uint64(257)
# a rolling hash starts at n; all of it is multiplied by _MULTIPLIER, modulo 2^64
_SEEDS = np.array([[n * 257**n * int(_MULTIPLIER) % (1 << 64)] for n in _CHARS], np.uint64)
# row (n - 3) and place of each n-gram of a passage that `_EDGE` bytes at its ends and the blanks around it make up
_EDGE_ROWS, _EDGE_PLACES = np.array(
    [(n - _CHARS[0], 0) for n in _CHARS]
    + [(n - _CHARS[0], _EDGE + 1 + place) for n in _CHARS for place in range(_EDGE + 2 - n)]
).T

_CODE_SHIFT = 20
assert DIMENSION < 1 << _CODE_SHIFT
# the whole, head passages of half of PASSAGE_CHARACTERS or more, the tail's: what is in keys above an id's bits
_CODES = np.arange(HEAD_CHARACTERS // (PASSAGE_CHARACTERS // 2) + 2, dtype=np.int32) << _CODE_SHIFT
# where in sorted keys each text's words begin, and its n-grams of bytes
_PARTS = np.stack([_CODES, _CODES + (1 << WORD_BITS)], axis=1).ravel()

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Checks = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

_LETTER, _SIGN = 1, 2
_LETTERS = bytes([_LETTER, _LETTER])


def _kind(character: str) -> int:
    """What _WORD takes a character for: part of a word, a word of its own, or neither."""
    if character.isspace() or character == "_":
        return 0
    return _LETTER if character.isalnum() else _SIGN


_KINDS = bytes(_kind(chr(byte)) if byte < 128 else 0 for byte in range(256))

_LONGEST = 64
# _ADDS[256 d + b]: what byte b adds to a CRC-32 with d bytes behind it. _EMPTY[n]: the CRC-32 of n bytes that add none
_EMPTY = np.array([zlib.crc32(bytes(length)) for length in range(_LONGEST + 1)], np.uint32)
_ADDS = np.array(
    [zlib.crc32(bytes([byte, *bytes(behind)])) for behind in range(_LONGEST) for byte in range(256)], np.uint32
) ^ np.repeat(_EMPTY[1:], 256)


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
    return _counted(_keys(text, []))


def _counted(keys: Ids) -> tuple[Ids, Floats]:
    """Distinct keys in order, and how often each is there, damped. Sorts `keys` in place."""
    keys.sort()
    new = np.ones(len(keys) + 1, np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=new[1:-1])
    edges = new.nonzero()[0]
    counts = np.log((edges[1:] - edges[:-1]).astype(np.float32))
    counts += np.float32(1.0)
    return keys.take(edges[:-1]), counts


def _keys(text: str, pieces: list[str]) -> Ids:
    """Feature ids of a text and of the passages that it is made of, one for each occurrence, in no order.

    Those of passage i have i + 1 above the bits of an id. A line feed may stand before the last passage. Each passage
    has _EDGE bytes or more: n-grams that it shares with the whole are then hashed once.
    """
    return np.concatenate([_word_keys(text, pieces), *_char_keys(text, pieces)])


def _word_keys(text: str, pieces: list[str]) -> Ids:
    apart = len(text) > sum(map(len, pieces))  # a line feed before the last
    if pieces and all(piece[0] == " " for piece in pieces[1 : len(pieces) - apart]):
        found = _crcs(pieces)
        found = [np.concatenate(found), *found]
    else:  # a word may have been cut in two
        found = _crcs([text, *pieces])
    crcs = np.concatenate(found)
    previous = np.zeros(len(crcs) + 1, np.uint32)
    previous[1:] = crcs
    start = 0
    for one in found:
        previous[start] = 0
        start += len(one)
    pairs = crcs * np.uint32(31) + previous[:-1] * np.uint32(17) + np.uint32(7)

    named = [_named_crcs(text)]
    for i, piece in enumerate(pieces):
        named.append(named[0] if i == 0 and piece[:_NAMED] == text[:_NAMED] else _named_crcs(piece))
    ids = _mix(np.concatenate([crcs, pairs, np.array([crc for one in named for crc in one], np.uint32)]), WORD_BITS)
    if pieces:
        codes = _CODES[: len(found)]
        spread = np.repeat(codes, [len(one) for one in found])
        ids += np.concatenate([spread, spread, np.repeat(codes, [len(one) for one in named])])
    return ids


def _named_crcs(text: str) -> list[int]:
    """Checks of the words in the preamble's lines, salted with the line's name."""
    found: list[int] = []
    for line in text[:_NAMED].split("\n", 5)[:5]:
        name, colon, rest = line.partition(": ")
        if colon and name in _SALTS:
            salt = _SALTS[name]
            found += [zlib.crc32(word.encode("utf-8", "surrogatepass"), salt) for word in rest.split()[:40]]
    return found


def _crcs(texts: list[str]) -> list[Checks]:
    """The CRC-32 of each word of each text: of ASCII all at once, of others word by word."""
    if all(map(str.isascii, texts)):
        found = _ascii_crcs("\n".join(texts).encode("ascii"))
        if found is not None:
            crcs, starts = found
            if len(texts) == 1:
                return [crcs]
            ends = np.searchsorted(starts, np.cumsum([len(text) + 1 for text in texts])).tolist()
            return [crcs[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [_plain_crcs(text) for text in texts]


def _plain_crcs(text: str) -> Checks:
    words = _WORD.findall(text)
    if not words:
        return np.zeros(0, np.uint32)
    return np.array([*map(zlib.crc32, "\n".join(words).encode("utf-8", "surrogatepass").split(b"\n"))], np.uint32)


def _ascii_crcs(data: bytes) -> tuple[Checks, Places] | None:
    """The CRC-32 of each word of an ASCII text, and where it starts, both (n,); None where a word is too long
    or apostrophes are so many that word by word is faster.

    A CRC is linear: that of a word is the sum (xor) of what each byte adds at its distance from the word's end.
    """
    if data.count(b"'") > 8 + len(data) // 16:
        return None
    kinds = data.translate(_KINDS)
    kind = np.frombuffer(kinds, np.uint8)
    letter = kind == _LETTER
    opens = kind == _SIGN
    opens[:1] |= letter[:1]
    opens[1:] |= letter[1:] > letter[:-1]
    joined, place = -1, data.find(b"'", 1)
    while place >= 0:  # an apostrophe between letters joins two runs of them, but never three
        around = kinds[place - 1 : place + 2 : 2]
        if around == _LETTERS and (joined < 0 or kinds.count(_LETTER, joined + 1, place) < place - joined - 1):
            opens[place : place + 2] = False
            joined = place
        place = data.find(b"'", place + 1)
    inside = (kind != 0).nonzero()[0]
    opened = np.ones(len(inside) + 1, np.bool_)
    opened[:-1] = opens.take(inside)
    edges = opened.nonzero()[0]
    first, lengths = edges[:-1], edges[1:] - edges[:-1]
    if not len(first):
        return np.zeros(0, np.uint32), first
    if lengths.max() > _LONGEST:
        return None
    behind = np.repeat(first + lengths - 1, lengths) - np.arange(len(inside))
    adds = _ADDS.take((behind << 8) + np.frombuffer(data, np.uint8).take(inside))
    return np.bitwise_xor.reduceat(adds, first) ^ _EMPTY.take(lengths), inside.take(first)


def _char_keys(text: str, pieces: list[str]) -> list[Ids]:
    if not pieces:
        data = text.encode("utf-8", "surrogatepass")
        ids = _rolled(b" %b %b" % (data, bytes(_EDGE)))
        return [ids[row, : max(0, len(data) + 3 - n)] for row, n in enumerate(_CHARS)]
    parts = [piece.encode("utf-8", "surrogatepass") for piece in pieces]
    apart = len(text) - sum(map(len, pieces))
    data = b"".join([*parts[:-1], b"\n" * apart, parts[-1]])
    # at its ends a passage has n-grams that the whole lacks: those of a blank and _EDGE bytes
    edges = b"".join([b" %b%b " % (part[:_EDGE], part[-_EDGE:]) for part in parts])
    ids = _rolled(b" %b %b%b" % (data, edges, bytes(_EDGE)))
    found = [ids[row, : len(data) + 3 - n] for row, n in enumerate(_CHARS)]
    start = 1
    for i, part in enumerate(parts):
        if i == len(parts) - 1:
            start += apart
        found.append((ids[:, start : start + len(part) - _EDGE] + _CODES[i + 1]).ravel())
        start += len(part)
    places = len(data) + 2 + 2 * (_EDGE + 1) * np.arange(len(parts))
    at_edges = ids.ravel().take(places[:, None] + (_EDGE_ROWS * ids.shape[1] + _EDGE_PLACES))
    found.append((at_edges + _CODES[1 : len(parts) + 1, None]).ravel())
    return found


def _rolled(data: bytes) -> Ids:
    """Ids of the 3-, 4- and 5-grams that start at each byte but the last _EDGE, (3, n)."""
    letters = np.frombuffer(data, np.uint8).astype(np.uint64)
    letters *= _MULTIPLIER
    count = len(letters) - _EDGE
    rolling = np.empty((len(_CHARS), count), np.uint64)
    last = letters[:count]
    for offset in range(1, max(_CHARS)):
        row = max(0, offset + 1 - _CHARS[0])
        np.multiply(last, _BASE, out=rolling[row])
        rolling[row] += letters[offset : count + offset]
        last = rolling[row]
    rolling += _SEEDS
    rolling >>= np.uint64(64 - CHAR_BITS)
    ids = rolling.astype(np.int32)
    ids += np.int32(1 << WORD_BITS)
    return ids


def _mix(values: Checks, bits: int) -> Ids:
    """Multiplicative hashing (Knuth 6.4): the high bits of a product with 2^64 / golden ratio."""
    return ((values * _MULTIPLIER) >> np.uint64(64 - bits)).astype(np.int32)


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
    _pairs: npt.NDArray[np.uint64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lays the idf and the weight of a feature side by side: one look into memory finds both."""
        pairs = np.stack([self.idf, self.weights], axis=1, dtype=np.float32)
        object.__setattr__(self, "idf", pairs[:, 0])
        object.__setattr__(self, "weights", pairs[:, 1])
        object.__setattr__(self, "_pairs", pairs.view(np.uint64)[:, 0])

    def score(self, head: str, tail: str = "") -> float:
        """The linear score of a rendered message: above 0 leans to spam."""
        return self.judge(head, tail)[0]

    def judge(self, head: str, tail: str = "") -> tuple[float, str]:
        """The score of a rendered message, and its worst passage, "" where that is the first one or the only one.

        The score is the mean of the whole's and the worst passage's.
        """
        text, pieces = whole(head, tail), passages(head, tail)
        if not pieces:
            return self.score_text(text), ""
        if min(map(len, pieces)) < _EDGE:
            score, *scores = (self.score_text(one) for one in (text, *pieces))
        else:
            score, *scores = self._scores(_keys(text, pieces), len(pieces) + 1)
        worst = max(range(len(pieces)), key=scores.__getitem__)
        return (score + scores[worst]) / 2, pieces[worst] if worst else ""

    def score_text(self, text: str) -> float:
        """The linear score of one text."""
        return self._scores(_keys(text, []), 1)[0]

    def _scores(self, keys: Ids, count: int) -> list[float]:
        """The linear scores of `count` texts whose features are together in `keys`, as `weigh` would have them."""
        distinct, values = _counted(keys)
        pairs = self._pairs.take(distinct & ((1 << _CODE_SHIFT) - 1)).view(np.float32).reshape(-1, 2)
        values *= pairs[:, 0]
        sums = np.zeros((2, len(values) + 1), np.float32)  # a last zero: where the last part is empty, it ends there
        np.multiply(values, values, out=sums[0, :-1])
        np.multiply(values, pairs[:, 1], out=sums[1, :-1])
        edges = distinct.searchsorted(_PARTS[: 2 * count])
        squares, products = np.add.reduceat(sums, edges, axis=1).tolist()
        ends = [*edges[1:].tolist(), len(values)]
        parts = [
            product / math.sqrt(square) if start < end and square > 0 else 0.0
            for start, end, square, product in zip(edges.tolist(), ends, squares, products, strict=True)
        ]
        return [words + chars + self.bias for words, chars in zip(parts[::2], parts[1::2], strict=True)]

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
