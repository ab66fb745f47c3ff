"""One labelled set and everybody who judges it: the bundle, its stages alone, and the baselines fitted beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from spamfilter.verdict import Thresholds
from trainer.data.example import Example
from trainer.evaluation import curves, plots
from trainer.evaluation.baselines import BASELINES, probabilities, texts_of
from trainer.evaluation.bogofilter import Bogofilter
from trainer.evaluation.breakdown import by_source
from trainer.evaluation.comparison import Comparison
from trainer.evaluation.intervals import intervals
from trainer.evaluation.metrics import figures
from trainer.evaluation.report import Picture
from trainer.evaluation.scoring import STAGES, Judgement, as_mail

ENSEMBLE = "ensemble, default policy"
_BY_SOURCE = (
    "ham", "spam", "fp", "fn", "spam_caught_percent", "blocked_ham_percent", "roc_auc", "recall_at_0.5", "ece",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entrant:
    """Somebody's scores (N,) of the set, the cut at which he calls spam, probabilities (N,) where he has some.

    `drawn` is whether curves show him.
    """

    name: str
    score: np.ndarray
    threshold: float
    probability: np.ndarray | None = None
    drawn: bool = True


def members(judgement: Judgement, thresholds: Thresholds) -> list[Entrant]:
    """The bundle at its default threshold and at 0.5, and each stage that spoke of every message."""
    whole = judgement.probability
    found = [
        Entrant(ENSEMBLE, whole, thresholds.spam_at, whole),
        Entrant("ensemble, cut at 0.5", whole, 0.5, whole, drawn=False),
    ]
    for stage, title in STAGES.items():
        values = judgement.stages.get(stage)
        if values is not None and not np.isnan(values).any():
            found.append(Entrant(title, values, 0.5, values))
    return found


def rivals(
    train: pd.DataFrame, rows: pd.DataFrame, starts: Callable[[str], object] = lambda name: None
) -> list[Entrant]:
    """Every baseline over texts, fitted on `train`; `starts` is told whose turn it is. Raises DataError."""
    texts, asked, spam = texts_of(train), texts_of(rows), train["spam"].to_numpy()
    found = []
    for name, make in BASELINES.items():
        starts(name)
        baseline = make()
        baseline.fit(texts, spam)
        score = baseline.score(asked)
        trivial = bool(len(score)) and bool((score == score[0]).all())
        found.append(Entrant(name, score, baseline.threshold, probabilities(baseline, score), drawn=not trivial))
    return found


def bogofilter(train: Iterable[Example], examples: Sequence[Example], *, at_once: int = 5000) -> Entrant:
    """bogofilter, trained on raw messages as they come. Raises TrainerError where it is not installed."""
    with Bogofilter() as filter_:
        waiting: list[Example] = []
        for example in train:
            waiting.append(example)
            if len(waiting) >= at_once:
                _register(filter_, waiting)
                waiting = []
        _register(filter_, waiting)
        return Entrant("bogofilter", filter_.score([as_mail(e) for e in examples]), filter_.threshold)


def compare(
    title: str, spam: np.ndarray, entrants: Sequence[Entrant], wanted: dict[str, float], *, resamples: int, seed: int
) -> Comparison:
    """A row an entrant with intervals; what is wanted is wanted of the first."""
    comparison = Comparison(title)
    for entrant in entrants:
        given: dict[str, Any] = {"threshold": entrant.threshold, "probability": entrant.probability}
        comparison.add(
            entrant.name,
            figures(spam, entrant.score, **given),
            intervals=intervals(spam, entrant.score, **given, resamples=resamples, seed=seed),
            wanted={} if comparison.rows else wanted,
            cut=f"{entrant.threshold:.3g}",
        )
    return comparison


def source_rows(title: str, rows: pd.DataFrame, entrant: Entrant) -> Comparison:
    """A row a source; where there is one source only, a row a folder of it."""
    names = rows["source"].to_numpy()
    if len(set(names)) == 1:
        names = np.array([_folder(source, path) for source, path in zip(rows["source"], rows["path"], strict=True)])
    found = by_source(
        names, rows["spam"].to_numpy(), entrant.score, threshold=entrant.threshold, probability=entrant.probability
    )
    comparison = Comparison(title, _BY_SOURCE, "source")
    for name in sorted(found):
        comparison.add(name, found[name])
    return comparison


def pictures(spam: np.ndarray, entrants: Sequence[Entrant], thresholds: Thresholds, run: Path) -> list[Picture]:
    """Everything that can be drawn of the set; curves of the run's trainings where it has any."""
    first = entrants[0]
    probability = first.probability if first.probability is not None else first.score
    drawn = {e.name: e.score for e in entrants if e.drawn}
    calibrated = {e.name: e.probability for e in entrants if e.drawn and e.probability is not None}
    calibrated = dict(list(calibrated.items())[:2])  # more cannot be told apart
    names = ", ".join(drawn)
    found = []
    if len(np.unique(spam)) == 2:
        found += [
            Picture("roc", plots.roc(spam, drawn), f"ROC curves of {names}.", "Upper left is better."),
            Picture("det", plots.det(spam, drawn), f"Detection error curves of {names}.", "Lower left is better."),
        ]
    cuts = {"unsure at": thresholds.unsure_at, "spam at": thresholds.spam_at}
    found += [
        Picture(
            "reliability", plots.reliability(spam, calibrated), f"Reliability of {', '.join(calibrated)}.",
            "On the diagonal a probability means what it says; bars: 95 % intervals of the first.",
        ),
        Picture("scores", plots.histogram(spam, probability, cuts), "Histogram of the probabilities of ham and spam."),
        Picture(
            "confusion", plots.confusion_matrix(spam, first.score >= first.threshold), "Confusion matrix.",
            f"{first.name}, cut {first.threshold:.3f}.",
        ),
    ]  # fmt: skip
    for file in sorted(run.glob("*/metrics.jsonl")):
        lines = curves.read_metrics(file)
        if any(key.endswith("loss") for values in lines for key in values):
            title = file.parent.name
            found.append(Picture(f"curves-{title}", curves.curves(lines, title), f"Loss and figures of {title}."))
    return found


def predictions(rows: pd.DataFrame, judgement: Judgement) -> pd.DataFrame:
    """source, path, spam, probability, and a column a stage; empty where there is nothing to say."""
    table = rows[["source", "path", "spam"]].reset_index(drop=True)
    table["probability"] = np.round(judgement.probability, 6)
    for stage in sorted(judgement.stages):
        table[stage] = np.round(judgement.stages[stage], 6)
    return table


def _register(filter_: Bogofilter, examples: Sequence[Example]) -> None:
    filter_.fit([as_mail(e) for e in examples], np.array([bool(e.spam) for e in examples], int))


def _folder(source: str, path: str) -> str:
    parent = str(PurePosixPath(path).parent)
    return source if parent == "." else parent
