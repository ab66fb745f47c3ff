"""`compare poison`: what wrong corrections cost, and whether a gate would have stopped the candidate.

Five people correct a site's mail. Some labels are turned around, by chance or all of one person's. The model in service
has learnt from the first corrections, which were right; the candidate learns from all. Its ham loss and recall are
measured on messages that nobody corrected. The gate sees a golden set, whose labels are right, and corrections that the
candidate did not learn from, which may be wrong, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from trainer.commands.options import data_option, run_option, set_option, values
from trainer.experiments.feedback import World, worlds_of
from trainer.experiments.sources import SOURCES

FOLDER = Path("experiments") / "poison"
COLUMNS = ("blocked_ham_percent", "spam_caught_percent", "recall_at_0.5")
PEOPLE = ("ann", "bob", "cat", "dan", "eve")
BUDGET = 0.005
RIGHT, CORRECTED, GOLDEN = 200, 500, 400
"""Corrections of the model in service, corrections of the candidate, messages of the golden set."""
HELD_OUT = 0.2
HAM_TOLERANCE, SPAM_TOLERANCE = 0.001, 0.01


@dataclass(frozen=True, slots=True)
class Poison:
    """How labels are turned around: a share of all, by chance, or a share of one person's."""

    share: float
    one_person: bool = False

    def wrong(self, who: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Which corrections (N,) bool are wrong; as many as the share of all in either case, where he has as many."""
        able = np.flatnonzero(who == PEOPLE[-1]) if self.one_person else np.arange(len(who))
        count = min(round(self.share * len(who)), len(able))
        found = np.zeros(len(who), bool)
        found[rng.permutation(able)[:count]] = True
        return found


POISONS: Mapping[str, Poison] = {
    "all labels right": Poison(0.0),
    "5 % wrong, by chance": Poison(0.05),
    "5 % wrong, one of five people": Poison(0.05, one_person=True),
    "20 % wrong, by chance": Poison(0.2),
    "20 % wrong, one of five people": Poison(0.2, one_person=True),
}


@dataclass(frozen=True, slots=True)
class Served:
    """A model with its default threshold's logit."""

    stages: Any
    ensemble: Mapping[str, Any]
    spam_at: float

    @classmethod
    def of(cls, made: Any) -> Served:
        """From a current model or a candidate, at BUDGET."""
        from spamfilter.classifier.cascade import logit

        fitting = [row for row in made.thresholds if row["false_positive_rate"] <= BUDGET + 1e-12]
        row = max(fitting or made.thresholds, key=lambda row: row["false_positive_rate"])
        return cls(made.stages, made.ensemble, logit(row["probability"]))

    def called(self, world: World, rows: np.ndarray) -> np.ndarray:
        """Which rows (N,) bool it calls spam."""
        found: np.ndarray = world.logits(self.stages, self.ensemble, rows) >= self.spam_at
        return found


def reasons(world: World, now: Served, then: Served, name: str, rows: np.ndarray, spam: np.ndarray) -> list[str]:
    """Why a gate refuses by some messages with labels (N,): ham loss above the budget, unless no more than now's; ham
    loss or recall worse than now's beyond the interval. Recall is no reason where now's ham loss breaks the budget."""
    from trainer.gate import interval

    before, after = (model.called(world, rows).astype(float) for model in (now, then))
    ham = spam == 0
    lost = before[ham].mean(), after[ham].mean()
    found = []
    if lost[1] > max(BUDGET, lost[0] if name != "golden" else 0.0):
        found.append(f"{name}: ham loss above the budget")
    low, _ = interval(after[ham] - before[ham])
    if low > 0 and lost[1] - lost[0] > HAM_TOLERANCE:
        found.append(f"{name}: more ham lost")
    _, high = interval(after[~ham] - before[~ham])
    if high < 0 and before[~ham].mean() - after[~ham].mean() > SPAM_TOLERANCE and lost[0] <= BUDGET:
        found.append(f"{name}: less spam caught")
    return found


def tried(world: World, poison: Poison, seed: int, settings: Any) -> tuple[dict[str, float], float, list[str]]:
    """Figures of the candidate on the judged half, the share of wrong labels' weight that was doubted, and why the gate
    refuses."""
    from trainer.evaluation.metrics import figures
    from trainer.recipes.retrain import retrain

    rng = np.random.default_rng(seed)
    order = world.corrected(min(CORRECTED + GOLDEN, len(world.stream)), seed)
    rows, golden = order[:CORRECTED], order[CORRECTED:]
    who = np.array(PEOPLE)[rng.integers(0, len(PEOPLE), len(rows))]
    now = Served.of(
        retrain(world.current, world.corrections(rows[:RIGHT], who=who[:RIGHT]), world.replay, settings=settings)
    )
    wrong = poison.wrong(who, rng)
    said = np.where(wrong, 1 - world.spam[rows], world.spam[rows])
    kept = rng.random(len(rows)) >= HELD_OUT
    kept[:RIGHT] = True  # what the model in service has learnt from cannot judge between them
    mine = world.corrections(rows[kept], spam=said[kept], who=who[kept])
    made = retrain(world.current, mine, world.replay, settings=settings)
    then = Served.of(made)
    score = world.logits(made.stages, made.ensemble, world.judged)
    found = figures(world.spam[world.judged], score, threshold=then.spam_at)
    doubted = float((made.trust[wrong[kept]] < 1).mean()) if wrong[kept].any() else 0.0
    why = reasons(world, now, then, "golden", golden, world.spam[golden])
    why += reasons(world, now, then, "recent", rows[~kept], said[~kept])
    return found, doubted, why


def measured(world: World, seeds: int, settings: Any) -> Any:
    """A row for each poison: means over seeds, and how often the gate refuses."""
    from trainer.evaluation.comparison import Comparison

    table = Comparison(f"poison: {world.source}, {CORRECTED} corrections of five people", COLUMNS, "labels")
    for title, poison in POISONS.items():
        trials = [tried(world, poison, seed, settings) for seed in range(seeds)]
        means = {key: float(np.mean([found[key] for found, _, _ in trials])) for key in COLUMNS}
        why: Sequence[str] = [reason for _, _, found in trials for reason in found]
        table.add(
            title, means,
            wrong_doubted=f"{100 * np.mean([doubted for _, doubted, _ in trials]):.0f} %",
            gate_refuses=f"{sum(bool(found) for _, _, found in trials)} of {seeds}",
            because=max(set(why), key=why.count) if why else "",
        )  # fmt: skip
        click.echo(f"{world.source}: {title}", err=True)
    return table


@click.command()
@data_option
@run_option
@set_option
@click.option("--source", "names", multiple=True, type=click.Choice(SOURCES), help="Only these (repeatable).")
@click.option("--seeds", default=3, show_default=True, help="Draws of corrections and of wrong labels.")
def command(data_dir: Path | None, run: Path, overrides: tuple[str, ...], names: tuple[str, ...], seeds: int) -> None:
    """What wrong corrections cost, and whether a gate would have stopped them."""
    from trainer.experiments.trials import publish
    from trainer.recipes.retrain import Retrain
    from trainer.run import load_recipe

    settings = load_recipe(Retrain, "retrain", {"bands": False, **values(overrides)})
    tables = [measured(world, seeds, settings) for world in worlds_of(names or SOURCES, run, data_dir)]
    publish(run / FOLDER, "Poison", tables, [
        f"In service: a model of the first {RIGHT} corrections, all right. Budget: {100 * BUDGET:g} % of ham.",
        f"The gate judges by {GOLDEN} golden messages and by the fifth of later corrections that was held out.",
    ])  # fmt: skip
