"""What each passage of a text adds to its score: the n-grams' share is known, the GPT's is asked for.

N-grams are linear: each word's share is at hand (`ngram_shares`). The GPT's is a sampled Shapley value. The worth of
some of a text's words is what the GPT adds to the logit of a message that has only these; a passage's share is what it
adds to the words before it, on average over orders in which the passages appear (Castro et al. 2009; each order also
backwards). What is added along an order is the whole, whatever the order: the shares add up exactly, however few orders
there is time for. The passages that moved most are then cut into parts, which share among themselves what the passage
added, in the same places of the same orders (Owen's nested values). Where that is hardly anything, or there is no time,
it is spread evenly over the words.

Orders are drawn from the text, so the same message gets the same explanation; only a machine that is so slow that the
time runs out before the calls do ends earlier.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from spamfilter.classifier.cuttings import Cuttings, Kept, Word
from spamfilter.classifier.disguises import EDGES
from spamfilter.classifier.explanation import SECONDS, Span, SpanKind

CALLS = 240
"""How often a text that fills the GPT's window may be judged, at 4 to 6 ms a time on one core; shorter ones more often.
"""
_FULL, _MOST_TIMES = 1_200, 4
_FEWEST_PAIRS, _MOST_PAIRS, _SHARE = 2, 8, 0.4
"""Orders are drawn so many times, each also backwards, as long as they take no more than this share of the calls."""
_PARTS = 4
_MOST_PASSAGES = 100
_LEAST_GPT, _LEAST_NGRAM = 0.04, 0.1
"""A passage is looked into where the GPT's share is more, or the n-grams' of one of its words is."""

Judge = Callable[[str, str], tuple[float, float]]
"""Head and tail of a text -> what the GPT and the n-grams add to the logit."""


@dataclass(slots=True)
class Budget:
    """Calls and seconds that are left. Whoever asks says what he wants to do, and does it whole or not at all."""

    seconds: float = SECONDS
    calls: int = CALLS
    _started: float = field(default_factory=time.perf_counter)
    _spent: int = 0

    def allows(self, calls: int) -> bool:
        """Whether there is time for so many calls more, going by what the earlier ones took."""
        elapsed = time.perf_counter() - self._started
        each = elapsed / self._spent if self._spent else 0.0
        return self._spent + calls <= self.calls and elapsed + calls * each <= self.seconds

    def spend(self) -> None:
        """One call was made."""
        self._spent += 1


class Texts:
    """Judges what is left of a message when words are taken out, each text once."""

    def __init__(self, cuttings: Cuttings, judge: Judge, budget: Budget, ngram: Sequence[float]) -> None:
        """`ngram` holds what each word adds to the logit through the n-grams, but for rounding."""
        self.cuttings, self.budget = cuttings, budget
        self._judge = judge
        self._known: dict[tuple[str, str], tuple[float, float]] = {}
        characters = sum(len(word.text) for word in cuttings.words)
        budget.calls = int(CALLS * min(_MOST_TIMES, max(1.0, _FULL / max(characters, 1))))
        rounding = self.worth(cuttings.all)[1] - self.worth(cuttings.none)[1] - sum(ngram)
        self.ngram = [share + rounding / len(ngram) for share in ngram]

    def worth(self, kept: Kept) -> tuple[float, float]:
        """What GPT and n-grams add to the logit of the words that are kept."""
        text = self.cuttings.text(kept)
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._judge(*text)
            self.budget.spend()
        return found

    def without(self, *blocks: range) -> tuple[float, float]:
        """The same of all words but some."""
        kept = bytearray(self.cuttings.all)
        for block in blocks:
            kept[block.start : block.stop] = bytes(len(block))
        return self.worth(bytes(kept))


@dataclass(slots=True)
class Passage:
    """A block of words, the n-grams' share of each, and for each order what the GPT said of it and which words came
    before."""

    block: range
    ngram: Sequence[float]
    before: list[Kept] = field(default_factory=list)
    gpt: list[float] = field(default_factory=list)

    @property
    def moved(self) -> tuple[float, float]:
        """What it adds: through the GPT, on average, and through the n-grams."""
        return sum(self.gpt) / len(self.gpt), sum(self.ngram)

    @property
    def strength(self) -> float:
        """How much there is to find in it; 0 where it is not worth a look."""
        gpt, ngram = abs(self.moved[0]), max(map(abs, self.ngram))
        worth_it = len(self.block) > 1 and (gpt >= _LEAST_GPT or ngram >= _LEAST_NGRAM)
        return gpt + ngram if worth_it else 0.0


def passages(texts: Texts, *, keep: int = 0) -> list[Passage]:
    """The text's passages with what they moved, in order. Their sum is `worth(all) - worth(none)`, each stage's own.

    `keep` calls of the budget are left for what comes after.
    """
    cuttings = texts.cuttings
    found = _passages(texts, cuttings.blocks())
    if not found:
        return []
    chance = random.Random(zlib.crc32("\n".join(cuttings.text(cuttings.all)).encode("utf-8", "surrogatepass")))
    pairs = int(_SHARE * texts.budget.calls / (2 * len(found)))
    for order in islice(_orders(found, chance), 2 * min(_MOST_PAIRS, max(_FEWEST_PAIRS, pairs))):
        if found[0].before and not texts.budget.allows(len(found) + keep):
            break
        _walk(texts, cuttings.none, order)
    while len(found) < _MOST_PASSAGES:
        strongest = max(found, key=lambda passage: passage.strength)
        if not strongest.strength:
            break
        parts = _passages(texts, cuttings.parts(strongest.block, _PARTS))
        orders = len(strongest.before)
        if orders and abs(strongest.moved[0]) >= _LEAST_GPT and texts.budget.allows(orders * len(parts) + keep):
            for start, order in zip(strongest.before, _orders(parts, chance), strict=False):
                _walk(texts, start, order)
        else:
            _spread(strongest, parts)
        at = found.index(strongest)
        found[at : at + 1] = parts
    return found


def _passages(texts: Texts, blocks: Sequence[range]) -> list[Passage]:
    return [Passage(block, texts.ngram[block.start : block.stop]) for block in blocks]


def _orders(some: Sequence[Passage], chance: random.Random) -> Iterator[list[Passage]]:
    """Random orders without end, each also backwards."""
    while True:
        order = chance.sample(some, len(some))
        yield order
        yield order[::-1]


def _walk(texts: Texts, start: Kept, order: Sequence[Passage]) -> None:
    """Let the passages appear in order behind the words of `start`, and note what each adds."""
    kept = bytearray(start)
    said, _ = texts.worth(start)
    for passage in order:
        passage.before.append(bytes(kept))
        kept[passage.block.start : passage.block.stop] = b"\1" * len(passage.block)
        now, _ = texts.worth(bytes(kept))
        passage.gpt.append(now - said)
        said = now


def _spread(passage: Passage, parts: Sequence[Passage]) -> None:
    """Give each part its share of what the GPT said of the passage, by how many of its words it has.

    It then has no place in any order: its own parts are given theirs in the same way.
    """
    for part in parts:
        part.gpt = [added * len(part.block) / len(passage.block) for added in passage.gpt]


def span_of(words: Sequence[Word], passage: Passage) -> Span:
    """A passage as a span of the rendered text."""
    words = words[passage.block.start : passage.block.stop]
    first, last = words[0], words[-1]
    text = "".join(word.text for word in words)
    blanks = len(text) - len(text.rstrip(EDGES if first.kind in (SpanKind.FLAG, SpanKind.LINK) else None))
    end = last.end - blanks
    text = text[: len(text) - blanks]
    disguises = [word.disguise for word in words if word.disguise is not None]
    kind = disguises[0].kind if len(disguises) == len(words) else first.kind
    written = " ".join(word.disguise.written if word.disguise else word.text.strip() for word in words)
    return Span(first.start, end, first.part, text, *passage.moved, kind, written if disguises else "")
