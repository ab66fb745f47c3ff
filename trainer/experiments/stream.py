"""`compare stream`: a site's mail one after another, each judged and then corrected at once, beside bogofilter.

This is how TREC's Spam Track judged filters (Cormack and Lynam 2005): one area for the whole stream, learning included.
Between retrainings every correction moves the n-grams a step (`Online`), and is remembered. The order is that of the
files' numbers, which runs through the corpus's folders side by side. The fixed test part takes no part.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import click
import numpy as np
from scipy import sparse

from spamfilter.classifier.ngram import DIMENSION
from spamfilter.verdict import Label, Recall
from trainer.commands.options import data_option, run_option, set_option, values
from trainer.experiments.feedback import World, worlds_of
from trainer.experiments.sources import SOURCES

FOLDER = Path("experiments") / "stream"
COLUMNS = ("ham", "spam", "one_minus_roca_percent", "recall_at_0.1", "recall_at_0.5")
RATE = 8.0
_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class Online:
    """A step of logistic regression after each correction, on top of a fitted n-gram model (Goodman and Yih 2006).

    `delta` (DIMENSION,) and `bias` are added to the model's; `rate` is the step for a vector of length 1. Features that
    the model had never met get an idf at the first correction that has them.
    """

    rate: float = RATE
    delta: np.ndarray = field(default_factory=lambda: np.zeros(DIMENSION, np.float32))
    bias: float = 0.0

    def score(self, ids: np.ndarray, values_: np.ndarray) -> float:
        """What the steps so far add to the score of a message, by its weighed features."""
        return float(self.delta[ids] @ values_) + self.bias

    def learn(self, ids: np.ndarray, values_: np.ndarray, spam: bool, logit: float) -> None:
        """One step: as far as the probability is from the label."""
        error = float(spam) - 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        self.delta[ids] += np.float32(self.rate * error) * values_
        self.bias += 0.1 * self.rate * error


OFTEN = (25, 50, 100, 200, *range(400, 5000, 200))
"""After so many corrections a site that lets its timer run each hour would have retrained."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the stream is learnt: steps of the online learner (0: none), whether texts are remembered, and after how
    many corrections the model is retrained."""

    rate: float = RATE
    memory: bool = True
    retrain_at: tuple[int, ...] = (50, 200, 800)


def order_of(world: World) -> np.ndarray:
    """Rows of the world in the order of the files' numbers."""
    paths = world.table["path"].tolist()
    keys = [(int((_NUMBER.search(PurePosixPath(path).name) or [0])[0]), path) for path in paths]
    return np.array(sorted(range(len(paths)), key=keys.__getitem__))


def judged_and_learnt(
    world: World, order: np.ndarray, plan: Plan, settings: Any, told: Callable[[str], object]
) -> np.ndarray:
    """The logit (N,) of each message in the stream's order, as it was when the message came."""
    from spamfilter.classifier.cascade import logit
    from spamfilter.classifier.memory import moved
    from trainer.recipes.retrain import retrain
    from trainer.warm import weighed

    stages, ensemble, thresholds = world.current.stages, world.current.ensemble, world.current.thresholds
    static = world.logits(stages, ensemble, order)
    idf = np.where(stages.ngram.idf == 0, stages.ngram.idf.max(), stages.ngram.idf)
    features = weighed(world.inputs.counts.whole[order], idf)
    spam, online, found = world.spam[order], Online(plan.rate), np.zeros(len(order))
    known = recalled(world, order) if plan.memory else [None] * len(order)
    for place, recall in enumerate(known):
        ids, row = _row(features, place)
        said = found[place] = static[place] + online.score(ids, row)
        if recall is not None:
            turns = [logit(one["probability"]) for one in thresholds if one["false_positive_rate"] in (0.005, 0.1)]
            found[place] = moved(said, recall, turns)
        if plan.rate:
            online.learn(ids, row, bool(spam[place]), said)
        if place + 1 in plan.retrain_at:
            made = retrain(world.current, world.corrections(order[: place + 1]), world.replay, settings=settings)
            static, thresholds = world.logits(made.stages, made.ensemble, order), made.thresholds
            online = Online(plan.rate)
            told(f"{place + 1} corrections, retrained")
    return found


def recalled(world: World, order: np.ndarray) -> list[Recall | None]:
    """What the memory recalls of each message (N), of the corrected messages before it; `memory.Memory`'s rules,
    without building one for every message."""
    from spamfilter.classifier.fingerprint import similarities
    from spamfilter.classifier.memory import AGREEING, LEAST, SURE

    prints, spam = world.fingerprints[order], world.spam[order]
    states = world.inputs.pooled[order].astype(np.float32)
    states /= np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-9)
    found: list[Recall | None] = []
    for place in range(len(order)):
        alike = similarities(prints[:place], prints[place])
        near = np.flatnonzero(alike >= LEAST)
        near = near[(spam[near] == 1) | (prints[near, -1] == prints[place, -1])]
        near = near[(alike[near] >= SURE) | (states[near] @ states[place] >= AGREEING)]
        if not len(near):
            found.append(None)
            continue
        best = int(near[np.lexsort((near, alike[near]))[-1]])
        label = Label.SPAM if spam[best] else Label.HAM
        found.append(Recall(f"{order[best]:064x}", label, float(best), float(alike[best])))
    return found


def by_bogofilter(world: World, order: np.ndarray) -> np.ndarray:
    """Spamicity (N,) of each message when it came; each is registered with its label right after."""
    from trainer.evaluation.bogofilter import Bogofilter

    with Bogofilter() as program:
        found = np.full(len(order), 0.5)
        for place, row in enumerate(order.tolist()):
            if place:
                found[place] = program.score([world.raws[row]])[0]
            program.fit([world.raws[row]], world.spam[row : row + 1])
    return found


def _row(matrix: sparse.csr_matrix, place: int) -> tuple[np.ndarray, np.ndarray]:
    start, end = matrix.indptr[place], matrix.indptr[place + 1]
    return matrix.indices[start:end], matrix.data[start:end]


@click.command()
@data_option
@run_option
@set_option
@click.option("--source", "name", default="spamassassin", show_default=True, type=click.Choice(SOURCES))
@click.option("--rate", default=RATE, show_default=True, help="The online learner's step.")
def command(data_dir: Path | None, run: Path, overrides: tuple[str, ...], name: str, rate: float) -> None:
    """A site's mail one after another, each judged and then corrected, beside bogofilter."""
    from trainer.evaluation.bogofilter import absence
    from trainer.evaluation.comparison import Comparison
    from trainer.evaluation.intervals import intervals
    from trainer.evaluation.metrics import summary
    from trainer.experiments.trials import publish
    from trainer.recipes.retrain import Retrain
    from trainer.run import load_recipe

    settings = load_recipe(Retrain, "retrain", {"bands": False, **values(overrides)})
    [world] = worlds_of([name], run, data_dir)
    order = order_of(world)
    spam = world.spam[order]
    plans = {
        "memory, steps and retrainings": Plan(rate),
        "steps and retrainings": Plan(rate, memory=False),
        "memory and retrainings": Plan(0.0),
        "memory and retrainings, more often": Plan(0.0, retrain_at=OFTEN),
        "memory and steps": Plan(rate, retrain_at=()),
        "memory alone": Plan(0.0, retrain_at=()),
        "nothing is learnt": Plan(0.0, memory=False, retrain_at=()),
    }
    found = {}
    for title, plan in plans.items():
        found[title] = judged_and_learnt(world, order, plan, settings, lambda line: None)
        click.echo(f"{name}: {title}", err=True)
    notes = [f"{name} in the order of the files' numbers; the model before never saw it.", f"Step {rate:g}."]
    if (reason := absence()) is None:
        found["bogofilter"] = by_bogofilter(world, order)
    else:
        notes.append(f"No row of bogofilter: {reason}.")
    table = Comparison(f"stream: {name}, judged and corrected at once", COLUMNS, "who learns")
    for number, (title, score) in enumerate(found.items()):
        wanted = {}
        if not number and "bogofilter" in found:
            wanted = {"one_minus_roca_percent": summary(spam, found["bogofilter"])["one_minus_roca_percent"]}
        table.add(title, summary(spam, score), intervals=intervals(spam, score, resamples=500), wanted=wanted)
    publish(run / FOLDER, "Stream", [table], notes)
