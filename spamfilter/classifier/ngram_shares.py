"""What each character of a text adds to the n-grams' score, exactly: the model is linear, so no sampling is needed.

Each occurrence of a feature gets its part of what the feature adds, and spreads it evenly over the bytes it is made of.
The lengths by which words and characters are divided (`ngram.weigh`) are those of the text as it is.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spamfilter.classifier import ngram
from spamfilter.classifier.ngram import (
    _CHARS,
    _NAMED,
    _SALTS,
    _WORD,
    WORD_BITS,
    NgramModel,
    _char_keys,
    _mix,
    _named_crcs,
    _plain_crcs,
)

_BLANKS_APART = re.compile(r"\S+")

Shares = npt.NDArray[np.float64]


class Occurrences(NamedTuple):
    """Features of a text, one for each time they stand there: ids, and the bytes `start` to `stop` they are made of."""

    ids: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]


def shares(model: NgramModel, head: str, tail: str = "") -> tuple[Shares, Shares]:
    """What the characters of head and tail, (H,) and (T,), add to `model.judge(head, tail)`; together they sum to the
    score less the bias."""
    of_head, of_tail = np.zeros(len(head)), np.zeros(len(tail))
    _, worst = model.judge(head, tail)
    pieces = ngram.passages(head, tail)
    text = ngram.whole(head, tail)
    found = _of_text(model, text) / (2 if pieces else 1)
    read = min(len(head), ngram.HEAD_CHARACTERS)
    of_head[:read] += found[:read]
    if tail:
        of_tail[len(tail) - (len(text) - read - 1) :] += found[read + 1 :]
        of_tail[-1] += found[read]  # the line feed between them
    if pieces:
        place = pieces.index(worst) if worst else 0
        piece = _of_text(model, pieces[place]) / 2
        if tail and place == len(pieces) - 1:
            of_tail[len(tail) - len(piece) :] += piece
        else:
            start = sum(map(len, pieces[:place]))
            of_head[start : start + len(piece)] += piece
    return of_head, of_tail


def _of_text(model: NgramModel, text: str) -> Shares:
    """What each character adds to `model.score_text(text)`, (len(text),)."""
    if not text:
        return np.zeros(0)
    ids, start, stop = occurrences(text)
    distinct, which, counts = np.unique(ids, return_inverse=True, return_counts=True)
    values = ngram.weigh(distinct, 1 + np.log(counts).astype(np.float32), model.idf)
    adds = (values * model.weights[distinct] / counts).astype(np.float64)[which]
    size = len(text.encode("utf-8", "surrogatepass"))
    edges = np.zeros(size + 1)
    each = adds / (stop - start)
    np.add.at(edges, start, each)
    np.add.at(edges, stop, -each)
    character = np.repeat(np.arange(len(text)), [len(c.encode("utf-8", "surrogatepass")) for c in text])
    return np.bincount(character, weights=np.cumsum(edges[:-1]), minlength=len(text)).astype(np.float64)


def occurrences(text: str) -> Occurrences:
    """All features of a text, as `ngram.features` counts them."""
    ends = np.array([0, *(len(c.encode("utf-8", "surrogatepass")) for c in text)]).cumsum()
    size = int(ends[-1])
    words = ends[np.array([match.span() for match in _WORD.finditer(text)], np.int64).reshape(-1, 2)]
    named = ends[np.array(_named_places(text), np.int64).reshape(-1, 2)]
    crcs = _plain_crcs(text)
    before = np.concatenate([np.zeros(1, np.uint32), crcs[:-1]])[: len(crcs)]
    pairs = crcs * np.uint32(31) + before * np.uint32(17) + np.uint32(7)
    pair_starts = np.concatenate([words[:1, 0], words[:-1, 0]])
    grams = _char_keys(text, [])  # those at place p begin at byte p - 1: a blank stands before the text
    places = [np.arange(len(row)) - 1 for row in grams]
    return Occurrences(
        np.concatenate(
            [_mix(np.concatenate([crcs, pairs, np.array(_named_crcs(text), np.uint32)]), WORD_BITS), *grams]
        ),
        np.concatenate([words[:, 0], pair_starts, named[:, 0], *(np.clip(place, 0, size - 1) for place in places)]),
        np.concatenate(
            [words[:, 1], words[:, 1], named[:, 1]]
            + [np.clip(place + n, 1, size) for n, place in zip(_CHARS, places, strict=True)]
        ),
    )


def _named_places(text: str) -> list[tuple[int, int]]:
    """Where the words stand that `_named_crcs` reads."""
    found: list[tuple[int, int]] = []
    at = 0
    for line in text[:_NAMED].split("\n", 5)[:5]:
        name, colon, _ = line.partition(": ")
        if colon and name in _SALTS:
            found += [(at + m.start(), at + m.end()) for m in islice(_BLANKS_APART.finditer(line, len(name) + 2), 40)]
        at += len(line) + 1
    return found
