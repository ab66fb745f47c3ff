"""Where a filter fails: its figures source by source, and its worst mistakes by name."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from trainer.evaluation.metrics import checked, figures

_SUBJECT = re.compile(r"^subject: (.*)$", re.M)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One message that was judged badly: `probability` is what the filter gave it, `opening` its subject or words."""

    source: str
    path: str
    spam: bool
    probability: float
    opening: str


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The worst first: ham with the highest probability, spam with the lowest."""

    ham: tuple[Mistake, ...]
    spam: tuple[Mistake, ...]


def by_source(
    sources: np.ndarray,
    spam: np.ndarray,
    score: np.ndarray,
    *,
    threshold: float = 0.5,
    probability: np.ndarray | None = None,
) -> dict[str, dict[str, float]]:
    """`metrics.figures` of each source (N,), in order of first appearance."""
    sources = np.asarray(sources)
    found = {}
    for source in dict.fromkeys(sources.tolist()):
        of = sources == source
        given = None if probability is None else np.asarray(probability)[of]
        found[source] = figures(np.asarray(spam)[of], np.asarray(score)[of], threshold=threshold, probability=given)
    return found


def worst(table: pd.DataFrame, probability: np.ndarray, most: int = 20, threshold: float = 0.5) -> Mistakes:
    """The worst `most` mistakes of each kind at a threshold, of a table as `trainer.data.prepared` makes it.

    `probability` (N,) goes with the table's rows. Raises DataError as `metrics.checked` does.
    """
    spam, probability = checked(table["spam"].to_numpy(), probability, "probabilities")
    order = np.argsort(-probability, kind="stable")
    ham_blocked = [i for i in order if spam[i] == 0 and probability[i] >= threshold][:most]
    spam_passed = [i for i in order[::-1] if spam[i] == 1 and probability[i] < threshold][:most]

    def listed(places: list[int]) -> tuple[Mistake, ...]:
        return tuple(_mistake(table.iloc[place], float(probability[place])) for place in places)

    return Mistakes(listed(ham_blocked), listed(spam_passed))


def opening(preamble: str, text: str, most: int = 80) -> str:
    """The subject, or where there is none the first words: one line of at most `most` characters."""
    subject = _SUBJECT.search(preamble)
    words = " ".join((subject.group(1) if subject and subject.group(1).strip() else text[: 4 * most]).split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def _mistake(row: pd.Series, probability: float) -> Mistake:
    return Mistake(
        str(row["source"]), str(row["path"]), bool(row["spam"]), probability, opening(row["preamble"], row["text"])
    )
