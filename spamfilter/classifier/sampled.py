"""What is kept of a message that nobody labelled: what the stages read of it and what its mail is like, without text.

A retraining lets the model in service be its own teacher on such messages, so that corrections move what they speak of
and little else of a site's mail. Hashed n-grams are less than a text, not nothing: who has a text at hand can tell
whether it is among them, and common words can be guessed.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the daemon passes samples on, and needs neither
    import numpy as np
    import numpy.typing as npt

    from spamfilter.classifier.examined import Examined

RARE = 20
"""What fewer messages of a training had than these, it hardly met."""
_HEADER = struct.Struct("<4sIIHH")
_MAGIC = b"smp1"
_MOST_BYTES = 4 * 1024 * 1024
_UNKNOWN_FACT = -1


@dataclass(frozen=True, slots=True)
class Sampled:
    """`probability` is of all stages, the memory not asked; `language` as `language.language` tells it; `unknown` as
    `unknown_share` has it.

    `inputs` is what `unpack` reads.
    """

    model_id: str
    probability: float
    language: str
    unknown: float
    inputs: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Unpacked:
    """n-gram ids (n,) in order and how often each occurs (n,), facts (F,) float32 with NaN for unknown, the GPT's
    pooled state (C,)."""

    ids: npt.NDArray[np.int32]
    times: npt.NDArray[np.uint8]
    facts: npt.NDArray[np.float32]
    pooled: npt.NDArray[np.float16]


def sampled(examined: Examined, idf: npt.NDArray[np.float32]) -> Sampled:
    """What is kept of an examined message; `idf` (DIMENSION,) is the model's, 0 where it does not weigh an n-gram."""
    import numpy as np

    from spamfilter.classifier.language import language
    from spamfilter.classifier.ngram import features, whole
    from spamfilter.facts import NAMES

    ids, counts = features(whole(examined.head, examined.tail))
    times = occurrences(counts)
    weighed = idf[ids] != 0
    facts = np.array([examined.document.facts.get(name, _UNKNOWN_FACT) for name in NAMES], np.int8)
    score = examined.score
    return Sampled(
        score.model_id,
        float(score.probability),
        language(examined.document.text),
        unknown_share(ids, times, hardly_met(idf)),
        _pack(ids[weighed], times[weighed], facts, examined.pooled),
    )


def occurrences(counts: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """How often n-grams occur (n,), of their damped counts (`ngram.features`)."""
    import numpy as np

    return np.rint(np.exp(counts - 1)).astype(np.int64)


def hardly_met(idf: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Where fewer than RARE messages of a training had a hashed word, or pair of words (1 << WORD_BITS,).

    The largest `idf` (DIMENSION,) is that of two messages, and log((1 + RARE) / 3) above that of RARE.
    """
    from spamfilter.classifier.ngram import WORD_BITS

    words = idf[: 1 << WORD_BITS]
    found: npt.NDArray[np.bool_] = (words == 0) | (words > float(idf.max()) - math.log((1 + RARE) / 3))
    return found


def unknown_share(ids: npt.NDArray[np.int32], times: npt.NDArray[np.int64], rare: npt.NDArray[np.bool_]) -> float:
    """The share (0-1) of a message's words and pairs of words that its model's training had hardly met; 0 without any.

    `ids` (n,) are in order and occur `times` (n,); `rare` is `hardly_met`. A tokenizer of bytes knows no unknown word,
    and a training of many messages fills the table of hashes: a word that it never met falls beside another one, in
    half of the cases beside a rare one.
    """
    cut = int(ids.searchsorted(len(rare)))
    total = int(times[:cut].sum())
    return float(times[:cut][rare[ids[:cut]]].sum()) / total if total else 0.0


def _pack(
    ids: npt.NDArray[np.int32],
    times: npt.NDArray[np.int64],
    facts: npt.NDArray[np.int8],
    pooled: npt.NDArray[np.float16],
) -> bytes:
    """Sizes and a check of the facts' names; then, compressed: ids as gaps, occurrences, facts, the state."""
    import numpy as np

    gaps = np.diff(ids, prepend=0).astype("<i4")
    arrays = (gaps, np.clip(times, 1, 255).astype(np.uint8), facts, pooled.astype("<f2"))
    header = _HEADER.pack(_MAGIC, _facts_check(), len(ids), len(facts), len(pooled))
    return header + zlib.compress(b"".join(array.tobytes() for array in arrays))


def is_open(inputs: bytes) -> bool:
    """Whether kept inputs are as `sampled` made them; else they are sealed."""
    return inputs.startswith(_MAGIC)


def unpack(inputs: bytes) -> Unpacked:
    """A sample's inputs. Raises ValueError where they are damaged or of another version of the facts."""
    import numpy as np

    from spamfilter.classifier.ngram import DIMENSION

    try:
        magic, check, count, facts, width = _HEADER.unpack_from(inputs)
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(inputs[_HEADER.size :], _MOST_BYTES)
    except (struct.error, zlib.error) as error:
        raise ValueError(f"not a sample: {error}") from None
    if magic != _MAGIC or check != _facts_check() or not unpacker.eof:
        raise ValueError("not a sample of this version")
    if len(plain) != 5 * count + facts + 2 * width:
        raise ValueError(f"a sample of {len(plain)} bytes, where its header wants {5 * count + facts + 2 * width}")
    ids = np.frombuffer(plain, "<i4", count).cumsum(dtype=np.int64)
    if count and (ids[0] < 0 or ids[-1] >= DIMENSION or (np.diff(ids) <= 0).any()):
        raise ValueError("a sample with n-grams that are none")
    times = np.frombuffer(plain, np.uint8, count, 4 * count)
    found = np.frombuffer(plain, np.int8, facts, 5 * count).astype(np.float32)
    found[found == _UNKNOWN_FACT] = np.nan
    pooled = np.frombuffer(plain, "<f2", width, 5 * count + facts).astype(np.float16)
    return Unpacked(ids.astype(np.int32), times, found, pooled)


def _facts_check() -> int:
    from spamfilter.facts import NAMES

    return zlib.crc32("\n".join(NAMES).encode())
