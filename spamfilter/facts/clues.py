"""Patterns that cost nothing where they cannot match: most mails have no trace of what most facts look for.

A regular expression looks at each character of a text, at 10 to 50 ns each; `in` passes over twenty characters in that
time. So a pattern names its clues, short texts of which each of its matches holds at least one, and is tried only
where one stands. Clues never change an answer, they only spare the search.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# what re.I takes for i, s and k besides their own two cases
_ALSO = {"İ": "i", "ı": "i", "ſ": "s", "\u212a": "k"}


def lowered(text: str) -> str:
    """The text in lower case as `re.I` compares, a character for a character; \\w, \\s and \\d match where they did."""
    if not text.isascii():
        for letter, plain in _ALSO.items():
            text = text.replace(letter, plain)
    return text.lower()


@dataclass(frozen=True, slots=True)
class Clued:
    """A pattern, and its clues: every match holds one of them."""

    pattern: re.Pattern[str]
    clues: tuple[str, ...]

    def found(self, text: str) -> bool:
        """Whether the pattern matches anywhere."""
        for clue in self.clues:
            if clue in text:
                return self.pattern.search(text) is not None
        return False

    def begun(self, text: str) -> bool:
        """Whether the pattern matches anywhere, where each match begins with a clue: it is tried at these only."""
        for clue in self.clues:
            at = text.find(clue)
            while at >= 0:
                if self.pattern.match(text, at):
                    return True
                at = text.find(clue, at + 1)
        return False

    def count(self, text: str, enough: int) -> int:
        """How many matches there are; 0 where there are fewer clues than `enough`."""
        return len(self.pattern.findall(text)) if sum(map(text.count, self.clues)) >= enough else 0


def clued(pattern: str, clues: str, flags: int = 0) -> Clued:
    """A `Clued` of clues with commas between them."""
    return Clued(re.compile(pattern, flags), tuple(clues.split(",")))
