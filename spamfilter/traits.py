"""What mail is like apart from its scores: its languages, and how much of it a model does not know.

A bundle's manifest holds both of messages that its n-grams had not seen; drift sets each day's samples beside them.
Other languages or more that is unknown say that the model judges what it did not learn, not yet that it judges it
badly: they are told, and are no reason to retrain before people correct something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spamfilter.classifier.language import OTHER

TRAITS = "traits"
"""The key in a bundle's manifest, beside the scores' snapshot, which a retraining makes anew and this it keeps."""
_KEPT_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class Mix:
    """Of `messages`: the mean share of words that the model hardly knows (None: not told), the share of each
    language, most frequent first."""

    messages: int = 0
    unknown: float | None = None
    languages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traits:
    """A training's mix, and the unknown share that nine of ten of its messages stay below."""

    mix: Mix
    high: float

    def distance(self, found: Mix) -> float:
        """Total variation between the languages (0-1): the share of mail that would have to be in another one."""
        names = {*self.mix.languages, *found.languages}
        apart = (abs(found.languages.get(name, 0.0) - self.mix.languages.get(name, 0.0)) for name in names)
        return sum(apart) / 2


class Tally:
    """Counts what samples are like."""

    def __init__(self) -> None:
        self._languages: Counter[str] = Counter()
        self._unknown = 0.0
        self._told = 0

    def count(self, language: str | None, unknown: float | None) -> None:
        """One more message; None: not told, or by another model."""
        if language is not None:
            self._languages[language] += 1
        if unknown is not None:
            self._unknown += unknown
            self._told += 1

    def add(self, other: Tally) -> None:
        """Count another's, too."""
        self._languages += other._languages
        self._unknown += other._unknown
        self._told += other._told

    def mix(self) -> Mix:
        """As a value."""
        total = self._languages.total()
        shares = {name: count / total for name, count in self._languages.most_common()}
        return Mix(max(total, self._told), self._unknown / self._told if self._told else None, shares)


def traits_of(unknown: Iterable[float], languages: Iterable[str]) -> dict[str, Any]:
    """What a manifest keeps of its training's messages; the rarest languages are put together. Raises ValueError for
    no messages."""
    shares, tally = [*unknown], Tally()
    if not shares:
        raise ValueError("there are no messages whose traits could be kept")
    for language, share in zip(languages, shares, strict=True):
        tally.count(language, share)
    mix = tally.mix()
    kept = {name: round(share, 4) for name, share in mix.languages.items() if share >= _KEPT_SHARE and name != OTHER}
    rest = round(max(1 - sum(kept.values()), 0.0), 4)
    return {
        "messages": len(shares),
        "unknown": round(mix.unknown or 0.0, 4),
        "unknown_high": round(sorted(shares)[len(shares) * 9 // 10], 4),
        "languages": {**kept, **({OTHER: rest} if rest else {})},
    }


def traits_in(manifest: Mapping[str, Any]) -> Traits | None:
    """The traits in a bundle's manifest; None where there are none that can be read."""
    try:
        kept = manifest[TRAITS]
        languages = {str(name): float(share) for name, share in kept["languages"].items()}
        return Traits(Mix(int(kept["messages"]), float(kept["unknown"]), languages), float(kept["unknown_high"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def unlike(found: Mix, training: Traits, *, least: int, languages: float) -> Iterator[str]:
    """How mail is unlike the training's, in words; nothing of fewer than `least` messages.

    Unknown is much where the mean message has more of it than nine of ten of the training's; languages moved far where
    their distance reaches `languages`.
    """
    if found.messages < least:
        return
    if found.unknown is not None and found.unknown > training.high:
        yield (
            f"{100 * found.unknown:.0f} % of its words are hardly known to the model, "
            f"more than in nine of ten of the training's messages ({100 * training.high:.0f} %)"
        )
    if found.languages and training.distance(found) >= languages:
        grown = max(found.languages, key=lambda name: found.languages[name] - training.mix.languages.get(name, 0.0))
        before = training.mix.languages.get(grown, 0.0)
        named = "no language that is told" if grown == OTHER else f"language {grown!r}"
        yield f"{100 * found.languages[grown]:.0f} % is in {named}, where the training had {100 * before:.0f} %"
