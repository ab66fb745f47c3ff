"""Text to token ids by a byte-level BPE: the ranks of a bundle, run by tiktoken."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tiktoken

PATTERN = (
    r"""'(?:s|t|re|ll|ve|d|m)\b| ?\p{L}{1,24}| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]{1,8}|\s"""  # bounded: linear on any input
)
END = "<|end|>"
TAIL = "<|tail|>"

_LIKELY = 4
"""Characters a token, seldom more: a piece of so many for each wanted id most often has them."""


def write_ranks(ranks: Mapping[bytes, int], path: Path) -> None:
    """Ranks as lines of `base64 rank`, the format of tiktoken's own files."""
    ordered = sorted(ranks.items(), key=lambda item: item[1])
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ordered), "ascii")


def read_ranks(path: Path) -> dict[bytes, int]:
    """The inverse of `write_ranks`. Raises ValueError with the line that is broken."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_text("ascii").splitlines(), 1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError:
            raise ValueError(f"{path}:{number}: expected `base64 rank`, found {line[:60]!r}") from None
    return ranks


class Tokenizer:
    """A byte-level BPE with two special tokens: END closes every text, TAIL stands where a long text was cut."""

    def __init__(self, ranks: dict[bytes, int]) -> None:
        size = len(ranks)
        self.encoding = tiktoken.Encoding(
            "spamfilter", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END: size, TAIL: size + 1}
        )
        self.end, self.tail, self.vocab_size = size, size + 1, size + 2

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """From a bundle's ranks file."""
        return cls(read_ranks(path))

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; text that looks like a special token is read as text."""
        return self.encoding.encode_ordinary(text)

    def decode(self, ids: list[int]) -> str:
        """Text of ids; broken UTF-8 is replaced."""
        return self.encoding.decode(ids)

    def window(self, head: str, tail: str, context: int, closer: str = "") -> npt.NDArray[np.int64]:
        """A rendered message (`document.render`) as at most `context` ids: head, TAIL and another part, END.

        Of a text that does not fit, two fifths of the context are kept for another part than its beginning: the
        passage `closer` where one is given, else its end, so that length never lets mail past. Shape (T,),
        1 <= T <= context.
        """
        # four characters a token is the least that English reaches; foreign scripts only fill the window sooner
        cut = len(head) > context * 12
        ids = self._first(head[: context * 12], context)
        if len(ids) <= context - 1 and not cut and not tail:
            return np.array([*ids, self.end], np.int64)
        share = context * 2 // 5
        if closer:
            last = self._first(closer[: share * 12], share)
            room = context - 2 - len(last)
        else:
            end_text = (tail or head)[-share * 12 :]
            found = self._last(end_text, share)
            last = found or self.encode(end_text)[-share:]
            room = context - 2 - len(last)
            if not found and not tail and not cut:
                ids = self.encode(head)
                last = ids[max(room, len(ids) - share) :]
        return np.array([*ids[:room], self.tail, *last, self.end], np.int64)

    # No token goes on behind a blank (PATTERN): a text may be cut before one, and its halves be encoded apart.

    def _first(self, text: str, count: int) -> list[int]:
        """The first `count` ids of a text, or all where it has fewer."""
        blank = text.find(" ", count * _LIKELY)
        if blank < 0:
            return self.encode(text)[:count]
        ids = self.encode(text[:blank])
        if len(ids) < count:
            ids += self.encode(text[blank:])
        return ids[:count]

    def _last(self, text: str, count: int) -> list[int]:
        """The last `count` ids of a text that may begin within a word; [] where it may take all of it to find them."""
        blank = text.rfind(" ", 0, max(0, len(text) - count * _LIKELY))
        ids = self.encode(text[blank:]) if blank >= 0 else []
        return ids[-count:] if len(ids) >= count else []
