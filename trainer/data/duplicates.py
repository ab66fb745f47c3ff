"""Which texts are one campaign: near-duplicates by MinHash and banded LSH over pairs of words.

Two texts belong together when they share so many pairs of neighbouring words that the Jaccard index of the two sets is
about THRESHOLD or more (Broder 1997; banding as in Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3).
Words are runs of letters, so digits and punctuation do not count. Texts under SHORT words go together only when all
their words are equal: three shared words are chance.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Groups of another version are made anew."""

THRESHOLD = 0.6
SHORT = 8
MOST_WORDS = 800
"""What stands behind that many words does not part two texts."""

_BANDS, _ROWS = 32, 4  # a pair of Jaccard 0.6 meets in some band with 98.8 %, one of 0.7 with 99.98 %
_SLICE = 1 << 16  # shingles hashed at once: half a megabyte, which stays in the cache
_CROWD = 24  # in a bigger bucket each text is compared with its neighbour and the first, not with all
_WORD = re.compile(r"[^\W\d_]+")

Hashes = NDArray[np.uint64]


def near_duplicate_groups(texts: Sequence[str]) -> NDArray[np.int64]:
    """A group's number for each text, (N,), from 0 in the order of first appearance.

    Which texts share a group depends neither on the order of the texts nor on chance.
    """
    hash_of = _WordHashes()
    keys: list[bytes] = []
    words_by_key: dict[bytes, Hashes] = {}
    for text in texts:
        words = _WORD.findall(text.casefold())[:MOST_WORDS]
        folded = " ".join(words or text.split())  # "645" and "1" are no campaign
        key = hashlib.blake2b(folded.encode("utf-8", "replace"), digest_size=16).digest()
        keys.append(key)
        if key not in words_by_key:
            words_by_key[key] = np.fromiter(map(hash_of.__getitem__, words), np.uint64, len(words))
    ordered = sorted(words_by_key)
    place = {key: i for i, key in enumerate(ordered)}
    long = np.array([i for i, key in enumerate(ordered) if len(words_by_key[key]) >= SHORT], np.int64)
    union = Union(len(ordered))
    if len(long) > 1:
        signatures = _signatures([words_by_key[ordered[i]] for i in long])
        for left, right in _similar(signatures):
            union.join(int(long[left]), int(long[right]))
    return numbered(union.root(place[key]) for key in keys)


def numbered(names: Iterable[object]) -> NDArray[np.int64]:
    """Equal things get equal numbers, from 0 in the order of first appearance: (N,)."""
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)


class Union:
    """Disjoint sets of 0..size-1, with paths halved on the way."""

    def __init__(self, size: int) -> None:
        self._above = list(range(size))

    def root(self, item: int) -> int:
        """The smallest member of the item's set."""
        above = self._above
        while above[item] != item:
            above[item] = above[above[item]]
            item = above[item]
        return item

    def join(self, left: int, right: int) -> None:
        """Make two sets one."""
        low, high = sorted((self.root(left), self.root(right)))
        self._above[high] = low


class _WordHashes(dict[str, int]):
    """A word's hash, the same in every process (Python's own is salted)."""

    def __missing__(self, word: str) -> int:
        self[word] = found = zlib.crc32(word.encode("utf-8", "replace"))
        return found


def _mixed(values: Hashes) -> Hashes:
    """Spreads 64 bits over 64 bits, one to one (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _signatures(texts: Sequence[Hashes]) -> NDArray[np.uint32]:
    """(N, BANDS * ROWS): of each hash function the least value over the text's pairs of words."""
    constants = np.random.default_rng(0).integers(0, 1 << 63, (2, _BANDS * _ROWS), np.uint64)
    factors, offsets = constants[0] | np.uint64(1), constants[1]
    found = np.empty((len(texts), _BANDS * _ROWS), np.uint32)
    for start, stop in _slices([len(words) - 1 for words in texts]):
        shingles = [_mixed((words[:-1] << np.uint64(32)) | words[1:]) for words in texts[start:stop]]
        starts = np.cumsum([0, *(len(s) for s in shingles[:-1])])
        joined = np.concatenate(shingles)
        for i, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            hashed = ((joined * factor + offset) >> np.uint64(32)).astype(np.uint32)
            found[start:stop, i] = np.minimum.reduceat(hashed, starts)
    return found


def _slices(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = total = 0
    for i, length in enumerate(lengths):
        if total and total + length > _SLICE:
            yield start, i
            start, total = i, 0
        total += length
    yield start, len(lengths)


def _similar(signatures: NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """Pairs that meet in a band's bucket and agree in THRESHOLD of all hash functions."""
    pairs: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        rows = np.ascontiguousarray(signatures[:, band * _ROWS : (band + 1) * _ROWS])
        buckets = defaultdict[bytes, list[int]](list)
        for i, row in enumerate(rows.view(f"V{_ROWS * 4}").ravel().tolist()):
            buckets[row].append(i)
        for bucket in buckets.values():
            if len(bucket) > _CROWD:
                pairs.update(pairwise(bucket))
                pairs.update((bucket[0], other) for other in bucket[1:])
            elif len(bucket) > 1:
                pairs.update(combinations(bucket, 2))
    candidates = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    for start in range(0, len(candidates), 1 << 16):
        part = candidates[start : start + (1 << 16)]
        agreeing = (signatures[part[:, 0]] == signatures[part[:, 1]]).mean(axis=1)
        yield from map(tuple, part[agreeing >= THRESHOLD].tolist())
