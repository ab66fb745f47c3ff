"""A bundle's judgement of labelled messages, through the same door as the daemon's workers: raw bytes in, Score out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spamfilter.classifier import Classifier
from spamfilter.message import Kind, Message
from spamfilter.verdict import Failure
from trainer.data import imported
from trainer.data.corpora import LABELLED
from trainer.data.example import Example
from trainer.errors import DataError

STAGES = {"gpt": "GPT alone", "ngram": "n-grams alone", "facts": "facts alone"}
"""What tables call a stage that judges by itself."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a bundle made of N messages: probabilities (N,), each stage's own (N,), and why a message has none.

    NaN where a message failed, and where a stage has nothing to say (facts about a message without headers).
    """

    probability: np.ndarray
    stages: dict[str, np.ndarray]
    failures: dict[int, Failure]

    @property
    def scanned(self) -> np.ndarray:
        """Where there is a probability (N,) bool."""
        scanned: np.ndarray = ~np.isnan(self.probability)
        return scanned

    def only(self, rows: np.ndarray) -> Judgement:
        """The judgement of some of the messages, by a mask (N,) bool; failures are left behind."""
        return Judgement(self.probability[rows], {name: values[rows] for name, values in self.stages.items()}, {})


def judge(model: Classifier, examples: Sequence[Example], advance: Callable[[], object] = lambda: None) -> Judgement:
    """Score each message on its own; `advance` is called after each."""
    probability = np.full(len(examples), np.nan)
    stages: dict[str, np.ndarray] = {}
    failures: dict[int, Failure] = {}
    for place, example in enumerate(examples):
        [outcome] = model.score([Message(example.raw, "evaluate", kind=example.kind)])
        if isinstance(outcome, Failure):
            failures[place] = outcome
        else:
            probability[place] = outcome.probability
            for stage, value in outcome.stages.items():
                stages.setdefault(stage, np.full(len(examples), np.nan))[place] = value
        advance()
    return Judgement(probability, stages, failures)


def corpora_of(sources: Iterable[str], folder: Path, run: Path) -> Iterator[Example]:
    """The raw messages of sources by name: corpora in `folder`, or what was imported into `run`. Raises DataError."""
    brought = imported.corpora(run)
    for source in sources:
        if source in LABELLED:
            yield from LABELLED[source](folder)
        elif source in brought:
            yield from imported.read(brought[source])
        else:
            known = ", ".join(sorted({*LABELLED, *brought}))
            raise DataError(f"{source}: no raw messages under that name; known are {known}")


def matched(rows: pd.DataFrame, examples: Iterable[Example]) -> list[Example]:
    """The raw message of each row by (source, path), in the rows' order.

    Reads `examples` no further than needed. Raises DataError when a row's message is not among them.
    """
    wanted = set(zip(rows["source"], rows["path"], strict=True))
    found: dict[tuple[str, str], Example] = {}
    for example in examples:
        if (key := (example.source, example.path)) in wanted:
            found[key] = example
            if len(found) == len(wanted):
                break
    if missing := sorted(wanted - found.keys()):
        source, path = missing[0]
        raise DataError(
            f"{len(missing)} of {len(rows)} messages are not in the corpora, the first {path} of {source}: "
            "the table was made from other files; remove the run's data folder to make it again"
        )
    return [found[key] for key in zip(rows["source"], rows["path"], strict=True)]


def as_mail(example: Example) -> bytes:
    """The raw bytes for a program that reads mail only: text gets an empty header block."""
    return example.raw if example.kind is Kind.MAIL else b"\n" + example.raw
