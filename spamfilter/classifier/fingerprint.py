"""By what a text is known again when it comes a second time in other words: MinHash over pairs of neighbouring words.

The share of equal places of two fingerprints estimates which share of their pairs of words two texts have in common
(the Jaccard index; Broder 1997). Each pair is hashed once and each place holds the least hash of its own range, so that
a mail costs some tens of microseconds (one permutation hashing; Li, Owen, Zhang 2012: places that are empty in both do
not count). Words are runs of letters: digits, punctuation and case do not part two texts, a random number in every copy
least of all. The preamble's lines do not count either, but for the subject and the link hosts, which have a place each
of their own.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Fingerprints of another version cannot be compared."""

PLACES = 64
TEXT_PLACES = PLACES - 2
SUBJECT, HOSTS = PLACES - 2, PLACES - 1
"""The places of the subject's words, and of the link hosts: equal or not."""

SHORT = 8
"""A text of fewer words is like another only where all words are equal, those of the subject with them."""

Fingerprint = NDArray[np.uint32]
Hashes = NDArray[np.uint64]

_PREAMBLE = ("from: ", "subject: ", "links: ", "files: ", "flags: ")
_HOST = re.compile(r"http://([^\s/]+)")
_ALONE = 0xE2  # UTF-8's first byte of symbols, of Chinese, Japanese and Korean: each such sign is a word of its own

# A word's hash is the sum of its letters', each times a power of _FACTOR that counts from the word's start.
_FACTOR = 0x9E3779B97F4A7C15
_MOST_BYTES = 16_384


def _powers(of: int) -> Hashes:
    return np.multiply.accumulate(np.array([1] + [of] * (_MOST_BYTES - 1), np.uint64))


_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_SPREADS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mixed(values: Hashes) -> Hashes:
    """Spreads 64 bits over 64 bits, one to one (the finaliser of splitmix64)."""
    values = values ^ (values >> _SHIFTS[0])
    values *= _SPREADS[0]
    values ^= values >> _SHIFTS[1]
    values *= _SPREADS[1]
    values ^= values >> _SHIFTS[2]
    return values


_FORWARD, _BACK = _powers(_FACTOR), _powers(pow(_FACTOR, -1, 1 << 64))
_LETTER = np.array([chr(byte).isalpha() if byte < 128 else True for byte in range(256)])
_VALUE = _mixed(np.array([ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256)], np.uint64) + 1)
_EDGES = np.array([(place << 64) // TEXT_PLACES for place in range(TEXT_PLACES)], np.uint64)
_PAIR = np.uint64(_FACTOR)


def fingerprint(head: str, tail: str = "") -> Fingerprint:
    """The fingerprint, (PLACES,), of a rendered message. A place is 0 where it is empty; all are without any words."""
    preamble, body = _parted(head)
    text = f"{body}\n{tail}" if tail else body
    found = np.zeros(PLACES, np.uint32)
    words = _words(text)
    if len(words) < SHORT:
        shown = "\n".join([preamble[name] for name in ("subject: ", "links: ", "files: ") if name in preamble] + [text])
        if equal := _of_all(shown):
            found[:TEXT_PLACES] = _values(_mixed(np.uint64(equal) + _FORWARD[:TEXT_PLACES]))
    else:
        pairs = words[:-1] * _PAIR
        pairs += words[1:]
        pairs = _mixed(pairs)
        pairs.sort()
        edges = np.empty(TEXT_PLACES + 1, np.int64)
        edges[:-1] = pairs.searchsorted(_EDGES)
        edges[-1] = len(pairs)
        found[:TEXT_PLACES] = _values(pairs.take(edges[:-1], mode="clip")) * (edges[1:] > edges[:-1])
    if "subject: " in preamble:
        found[SUBJECT] = _of_all(preamble["subject: "]) & 0xFFFFFFFF
    hosts = preamble["links: "].split() if "links: " in preamble else [] if preamble else _HOST.findall(text)[:12]
    if hosts:
        found[HOSTS] = zlib.crc32(" ".join(sorted(set(hosts))).encode("utf-8", "replace")) | 1
    return found


def similarity(one: Fingerprint, other: Fingerprint) -> float:
    """About which share of their pairs of words two texts have in common, 0-1; 0 where one has no words."""
    return float(similarities(one[None], other)[0])


def similarities(many: Fingerprint, one: Fingerprint) -> NDArray[np.float32]:
    """`similarity` of each of `many`, (N, PLACES), to one: (N,)."""
    texts, text = many[:, :TEXT_PLACES], one[:TEXT_PLACES]
    filled = ((texts | text) != 0).sum(axis=1)
    equal = ((texts == text) & (text != 0)).sum(axis=1)
    shares: NDArray[np.float32] = (equal / np.maximum(filled, 1)).astype(np.float32)
    return shares


def _parted(head: str) -> tuple[dict[str, str], str]:
    """The preamble's lines by name, and the text below them."""
    lines: dict[str, str] = {}
    for name in _PREAMBLE:
        if head.startswith(name):
            lines[name], _, head = head[len(name) :].partition("\n")
    return lines, head


def _of_all(text: str) -> int:
    """One hash of all words in their order, of what else there is where there are none; 0 of nothing."""
    words = _words(text)
    if len(words):
        return int(np.bitwise_xor.reduce(_mixed(words + _FORWARD[: len(words)]))) | 1
    signs = " ".join(text.split())
    return zlib.crc32(signs.encode("utf-8", "replace")) | 1 if signs else 0


def _words(text: str) -> Hashes:
    """The hash of each word, (n,)."""
    data = np.frombuffer(text.encode("utf-8", "replace")[:_MOST_BYTES], np.uint8)
    letter = _LETTER.take(data)
    opens = letter.copy()
    opens[1:] = letter[1:] > letter[:-1]
    opens |= data >= _ALONE
    places = opens.nonzero()[0]
    if not len(places):
        return np.zeros(0, np.uint64)
    values = _VALUE.take(data)
    values *= letter
    values *= _FORWARD[: len(data)]  # powers that count from the text's start, and in the end are taken back
    return _mixed(np.add.reduceat(values, places) * _BACK.take(places))


def _values(hashes: Hashes) -> Fingerprint:
    """What stands in a place: 32 bits of a hash, never 0."""
    values = hashes.astype(np.uint32)  # the low half
    values |= np.uint32(1)
    return values
