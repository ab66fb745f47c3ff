"""A rendered message cut into words that can be taken out; what is left reads as if they had never been there.

What no model reads (the middle of a long text, the beginning of its tail) is no word of any: it would only appear once
others were taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spamfilter.classifier import ngram
from spamfilter.classifier.disguises import EDGES, Disguise
from spamfilter.classifier.explanation import Part, SpanKind
from spamfilter.document import joined

Kept = bytes
"""A byte a word: 1 where it stays."""

_END_CHARACTERS = 1_500
"""Of the end of a text no more is read: by the n-grams 1,000 characters, by the GPT two fifths of its window."""
_MOST_BLOCKS = 12
_MOST_DISGUISED = 6
# a URL, up to four characters of a script without blanks, a word up to 40 characters; each with the blanks behind it
_WORD = re.compile(
    r"(?:https?://\S+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,4}|(?:(?![\u3040-\uffdc])\S){1,40}|\S)\s*"
)
_FLAG = re.compile(r"[^,]+(?:, )?")
_SENTENCE_END = re.compile(r"[.!?。！？;:]['\")\]]*\s|\n|[。！？]$")
_LINES = {
    "from": SpanKind.SENDER, "subject": SpanKind.SUBJECT, "links": SpanKind.LINK, "files": SpanKind.FILE,
    "flags": SpanKind.FLAG,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """Characters `start` to `end` of a part, the blanks behind it included. `line` numbers the preamble's lines."""

    part: Part
    start: int
    end: int
    text: str
    kind: SpanKind
    line: int | None = None
    disguise: Disguise | None = None

    @property
    def ends_sentence(self) -> bool:
        """Whether a sentence, or a line, ends with it."""
        return bool(_SENTENCE_END.search(self.text))


class Cuttings:
    """The words of a rendered message (`document.render`), whose preamble (`document.preamble`) stands in its head."""

    def __init__(self, head: str, tail: str, preamble: str, disguises: Mapping[str, Disguise]) -> None:
        self._head, self._tail = head, tail
        self._names: list[str] = []
        self._disguises = disguises
        words = [*self._of_preamble(preamble)]
        start = len(preamble) + bool(preamble and len(head) > len(preamble))
        stop = max(start, ngram.HEAD_CHARACTERS)
        last = len(head) if tail else max(stop, len(head) - _END_CHARACTERS)
        words += self._of_text("head", start, stop if len(head) > stop else len(head))
        if not tail:
            words += self._of_text("head", last, len(head))
        words += self._of_text("tail", max(0, len(tail) - _END_CHARACTERS), len(tail))
        self.words: Sequence[Word] = words
        self.all: Kept = bytes([1]) * len(words)
        self.none: Kept = bytes(len(words))

    def _of_preamble(self, preamble: str) -> Iterator[Word]:
        start = 0
        for number, line in enumerate(preamble.split("\n") if preamble else ()):
            name, colon, _ = line.partition(": ")
            kind = _LINES.get(name, SpanKind.WORDS) if colon else SpanKind.WORDS
            prefix = f"{name}: " if kind is not SpanKind.WORDS else ""
            self._names.append(prefix)
            pattern = _FLAG if kind is SpanKind.FLAG else _WORD
            for match in pattern.finditer(line, len(prefix)):
                yield self._word("head", start + match.start(), match.group(), kind, number)
            start += len(line) + 1

    def _of_text(self, part: Part, start: int, stop: int) -> Iterator[Word]:
        text = self._head if part == "head" else self._tail
        for match in _WORD.finditer(text, start, stop):
            kind = SpanKind.LINK if match.group().startswith(("http://", "https://")) else SpanKind.WORDS
            yield self._word(part, match.start(), match.group(), kind)

    def _word(self, part: Part, start: int, text: str, kind: SpanKind, line: int | None = None) -> Word:
        disguise = self._disguises.get(text.strip(EDGES)) if self._disguises else None
        return Word(part, start, start + len(text), text, kind, line, disguise)

    def sums(self, of_head: npt.NDArray[np.float64], of_tail: npt.NDArray[np.float64]) -> list[float]:
        """For each word the sum over its characters, and over those since the word before that are of none: values for
        all characters of head and tail in, one a word out. What stands behind the last word of a part counts to it."""
        found: list[float] = []
        for part, values in (("head", of_head), ("tail", of_tail)):
            ends = [word.end for word in self.words if word.part == part]
            if ends:
                upto = np.concatenate([np.zeros(1), values.cumsum()])
                found += np.diff(upto[[0, *ends[:-1], len(values)]]).tolist()
        return found

    def text(self, kept: Kept) -> tuple[str, str]:
        """Head and tail of the words that are kept."""
        if kept == self.all:
            return self._head, self._tail
        lines: dict[int, str] = {}
        body: dict[Part, list[str]] = {"head": [], "tail": []}
        for word, stays in zip(self.words, kept, strict=True):
            if not stays:
                continue
            if word.line is None:
                body[word.part].append(word.text)
            else:
                lines[word.line] = lines.get(word.line, "") + word.text
        before = "\n".join(
            self._names[number] + (text.strip(" ,") if self._names[number] == "flags: " else text.strip())
            for number, text in lines.items()
        )
        text = "".join(body["head"]).strip()
        return joined(before, text) if text else before, "".join(body["tail"]).strip()

    def blocks(self) -> list[range]:
        """The message in some twenty pieces, in order: each line of the preamble, link and disguised word on its own,
        and the text in sentences, short ones together."""
        runs = self._runs()
        most = max(1, -(-sum(len(run) for run in runs if self._is_text(run)) // _MOST_BLOCKS))
        blocks: list[range] = []
        for run in runs:
            blocks += self._sentences(run, most) if self._is_text(run) else [run]
        return blocks

    def _is_text(self, run: range) -> bool:
        return len(run) > 1 and self.words[run.start].kind is SpanKind.WORDS

    def _runs(self) -> list[range]:
        """Words of one line and kind that stand together; links and the first disguised words one by one."""
        disguised = [at for at, word in enumerate(self.words) if word.disguise is not None][:_MOST_DISGUISED]
        alone = {*disguised, *(at for at, word in enumerate(self.words) if word.kind is SpanKind.LINK)}
        runs: list[range] = []
        start = 0
        for at, (one, other) in enumerate(pairwise(self.words), 1):
            together = (one.part, one.line, one.end, one.kind) == (other.part, other.line, other.start, other.kind)
            if not together or at in alone or at - 1 in alone:
                runs.append(range(start, at))
                start = at
        return [*runs, range(start, len(self.words))] if self.words else []

    def _sentences(self, run: range, most: int) -> list[range]:
        """A run of words in blocks of `most` or so that end with a sentence where one ends in time."""
        blocks: list[range] = []
        start = run.start
        while run.stop - start > most + most // 4:
            ends = [at + 1 for at in range(start + most // 2, start + most) if self.words[at].ends_sentence]
            end = ends[-1] if ends else start + most
            blocks.append(range(start, end))
            start = end
        return [*blocks, range(start, run.stop)] if start < run.stop else blocks

    def parts(self, block: range, most: int) -> list[range]:
        """A block of two words or more in two to `most` parts of about one length, cut at sentences where they end."""
        size = -(-len(block) // most)
        if size > 2 and (found := self._sentences(block, size)) and len(found) > 1:
            return found
        return [range(at, min(at + size, block.stop)) for at in range(block.start, block.stop, size)]
