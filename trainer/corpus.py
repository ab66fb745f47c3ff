"""What a base reads: mails as the models see them and plain English, each with the text that a teacher is shown.

A base that is to be judged on a source must not have read it, not even without labels: `corpora` names what is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.document import canonical
from trainer.data.corpora import plain_texts
from trainer.data.prepared import render_columns
from trainer.errors import RecipeError

VERDICT = "the-verdict"
PLAIN = ("us-gov-blogs", "wikitext-2")
_PIECE = 700  # characters that a teacher is shown: about what fits its input


@dataclass(frozen=True, slots=True)
class Piece:
    """A text to read, and what a teacher is shown of it ("" for nothing)."""

    text: str
    shown: str


def pieces(corpora: Sequence[str], table: pd.DataFrame, data: Path) -> list[Piece]:
    """Everything the named corpora hold, near-duplicates once, test parts never. Raises RecipeError."""
    found: list[Piece] = []
    known = {*PLAIN, VERDICT, *table["source"].unique()}
    for name in corpora:
        if name not in known:
            raise RecipeError(f"corpora: {name!r} is not there; choose from {', '.join(sorted(known))}")
    mail = table[table["source"].isin(corpora) & table["part"].isin(["train", "holdout"])].drop_duplicates("group")
    heads, tails = render_columns(mail)
    shown = shown_to_teacher(mail)
    found += [
        Piece(f"{head}\n{tail}" if tail else head, seen) for head, tail, seen in zip(heads, tails, shown, strict=True)
    ]
    if set(corpora) & set(PLAIN):
        for source, article in plain_texts(data):
            if source in corpora:
                found += [Piece(part, part) for part in _parts(canonical(article))]
    if VERDICT in corpora:
        found.append(Piece((data / "the-verdict.txt").read_text("utf-8"), ""))
    return found


def shown_to_teacher(table: pd.DataFrame) -> list[str]:
    """Subject and the beginning of each message's text (N,)."""
    subjects = [
        next((line.removeprefix("subject: ") for line in preamble.split("\n") if line.startswith("subject: ")), "")
        for preamble in table["preamble"]
    ]
    return [f"{subject}\n{text[:_PIECE]}".strip() for subject, text in zip(subjects, table["text"], strict=True)]


def _parts(article: str) -> list[str]:
    """An article in parts of about the teacher's length, cut between sentences."""
    parts, start = [], 0
    while len(article) - start > _PIECE * 1.3:
        cut = article.rfind(". ", start + _PIECE // 2, start + _PIECE)
        end = cut + 1 if cut > 0 else start + _PIECE
        parts.append(article[start:end].strip())
        start = end
    parts.append(article[start:].strip())
    return [part for part in parts if part]


def pack(tokenizer: Tokenizer, texts: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All texts in shuffled order, END after each: ids (N,) uint16, and which text each token is of (N,) int32."""
    order = np.random.default_rng(seed).permutation(len(texts))
    ids: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    for start in range(0, len(order), 1000):
        chosen = order[start : start + 1000]
        encodings = tokenizer.encoding.encode_ordinary_batch([texts[i] for i in chosen], num_threads=2)
        for number, encoded in zip(chosen, encodings, strict=True):
            ids.append(np.array([*encoded, tokenizer.end], np.uint16))
            owners.append(np.full(len(encoded) + 1, number, np.int32))
    return np.concatenate(ids), np.concatenate(owners)
