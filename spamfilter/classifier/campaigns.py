"""The campaign cache: what was found in a text is kept for a while, since the same text often comes a thousand times.

Kept is what n-grams and GPT said of a rendered text; facts and the memory are looked at anew each time, so that a
message gets exactly the score that it would have got without the cache. Texts are kept as digests only. The cache
belongs to one loaded model and goes with it.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True)
class TextScores:
    """Linear scores of one rendered text, and its worst passage.

    `gpt` and `pooled`, its state, are None until the GPT was asked; `fingerprint` until the memory was looked at.
    """

    ngram: float
    worst: str
    gpt: float | None = None
    pooled: NDArray[np.float16] | None = None
    fingerprint: NDArray[np.uint32] | None = None


class Campaigns:
    """At most `most` texts, the least recently seen go first; none is known for longer than `seconds`."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._kept: OrderedDict[bytes, tuple[float, TextScores]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @staticmethod
    def key(head: str, tail: str) -> bytes:
        """The digest of a rendered text."""
        digest = hashlib.blake2b(head.encode("utf-8", "surrogatepass"), digest_size=16)
        if tail:
            digest.update(b"\xff")  # in no UTF-8 text
            digest.update(tail.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def find(self, key: bytes) -> TextScores | None:
        """What is known of a text, if it was seen within the window."""
        found = self._kept.get(key)
        if found is None:
            return None
        until, scores = found
        if self._clock() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return scores

    def keep(self, key: bytes, scores: TextScores) -> None:
        """Remember a text. The object stays: what is added to it later is known, too."""
        if not self._most:
            return
        self._kept[key] = (self._clock() + self._seconds, scores)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
