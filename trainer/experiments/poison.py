"""`compare poison`: what wrong corrections cost, and whether the gate would have stopped the candidate.

People correct a site's mail, and some labels are turned around: by chance, or one person's. The model in service has
learnt from the first corrections, which were right; the candidate learns from all. Its ham loss and recall are measured
on messages that nobody corrected. The gate's own checks see a golden set, whose labels are right, and corrections that
the candidate did not learn from, which may be wrong, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from trainer.commands.options import data_option, run_option, set_option, values
from trainer.experiments.feedback import World, worlds_of
from trainer.experiments.sources import SOURCES, source_option

FOLDER = Path("experiments") / "poison"
COLUMNS = ("blocked_ham_percent", "spam_caught_percent", "recall_at_0.5")
PEOPLE = ("ann", "bob", "cat", "dan", "eve")
BUDGET = 0.005
RIGHT, CORRECTED, GOLDEN = 200, 500, 400
"""Corrections of the model in service, corrections of the candidate, messages of the golden set."""
HELD_OUT = 0.2


@dataclass(frozen=True, slots=True)
class Poison:
    """How labels are turned around: a share of all, by chance, or as many of one person's; and who corrects."""

    share: float
    one_person: bool = False
    people: tuple[str, ...] = PEOPLE

    def wrong(self, who: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Which corrections (N,) bool are wrong; as many as the share of all in either case, where he has as many."""
        able = np.flatnonzero(who == self.people[-1]) if self.one_person else np.arange(len(who))
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
    "5 % wrong, one person corrects": Poison(0.05, people=PEOPLE[:1]),
    "20 % wrong, one person corrects": Poison(0.2, people=PEOPLE[:1]),
}


@dataclass(frozen=True, slots=True)
class Draw:
    """A seed's rows that people correct (N,), those of the golden set, who corrects (N,), which the candidate learns
    from (N,) bool, and the model in service."""

    seed: int
    rows: np.ndarray
    golden: np.ndarray
    who: np.ndarray
    kept: np.ndarray
    now: Any


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a draw: the candidate's figures on the judged half, how much of the wrong and of the right labels'
    weight was taken from them, and why the gate refuses."""

    figures: Mapping[str, float]
    wrong_doubted: float
    right_doubted: float
    reasons: Sequence[str]

    @property
    def ham_lost(self) -> tuple[float, float, float]:
        """Ham lost, percent, and its 95 % interval (Clopper and Pearson 1934)."""
        from scipy.stats import binomtest

        found = binomtest(int(self.figures["fp"]), int(self.figures["ham"])).proportion_ci()
        return self.figures["blocked_ham_percent"], 100 * found.low, 100 * found.high


def operating_point_of(made: Any) -> Any:
    """The Thresholds at BUDGET of a current model or a candidate, as the gate finds them."""
    from spamfilter.classifier.bundle import Bundle
    from trainer.checks import GateSettings
    from trainer.gate import operating_point

    return operating_point(Bundle(Path(), {"thresholds": made.thresholds}), GateSettings(budget=BUDGET))


def probabilities(world: World, made: Any, rows: np.ndarray) -> np.ndarray:
    """What a current model or a candidate says of rows (N,)."""
    found: np.ndarray = 0.5 * (1 + np.tanh(world.logits(made.stages, made.ensemble, rows) / 2))
    return found


def reasons(
    world: World, now: Any, then: Any, golden: np.ndarray, recent: np.ndarray, said: np.ndarray, unheard: int = 0
) -> list[str]:  # fmt: skip
    """Why the gate's checks refuse `then` beside `now`, by rows of the golden set and by recent rows with the labels
    (N,) that people gave them."""
    from trainer import checks

    found = checks.Checks(operating_point_of(now), operating_point_of(then), checks.GateSettings(budget=BUDGET))
    group = world.table["group"].to_numpy()

    def paired(name: str, rows: np.ndarray, spam: np.ndarray) -> checks.Paired:
        return checks.Paired(name, spam, group[rows], *(probabilities(world, made, rows) for made in (now, then)))

    found.ham_budget(paired(checks.GOLDEN, golden, world.spam[golden]), lambda: None)
    found.recent(paired(checks.RECENT, recent, said), unheard=unheard)
    return [f"{reason.check}, {reason.kind}" for reason in found.reasons]


def drawn(world: World, people: tuple[str, ...], seed: int, settings: Any) -> Draw:
    """The corrections of a seed and the model that has learnt from the first of them."""
    from trainer.recipes.retrain import retrain

    rng = np.random.default_rng(seed)
    order = world.corrected(min(CORRECTED + GOLDEN, len(world.stream)), seed)
    rows, golden = order[:CORRECTED], order[CORRECTED:]
    who = np.array(people)[rng.integers(0, len(people), len(rows))]
    kept = rng.random(len(rows)) >= HELD_OUT
    kept[:RIGHT] = True  # what the model in service has learnt from cannot judge between them
    first = world.corrections(rows[:RIGHT], who=who[:RIGHT])
    return Draw(seed, rows, golden, who, kept, retrain(world.current, first, world.replay, settings=settings))


def tried(world: World, draw: Draw, poison: Poison, settings: Any) -> Trial:
    """What comes of a draw when some of its labels are turned around."""
    from trainer.evaluation.metrics import figures
    from trainer.recipes.retrain import retrain

    rows, who, kept = draw.rows, draw.who, draw.kept
    wrong = poison.wrong(who, np.random.default_rng([draw.seed, 1]))
    said = np.where(wrong, 1 - world.spam[rows], world.spam[rows])
    mine = world.corrections(rows[kept], spam=said[kept], who=who[kept])
    made = retrain(world.current, mine, world.replay, settings=settings)
    heard = ~kept & made.belief.heard(who)
    why = reasons(world, draw.now, made, draw.golden, rows[heard], said[heard], int((~kept & ~heard).sum()))
    score = probabilities(world, made, world.judged)
    found = figures(world.spam[world.judged], score, threshold=operating_point_of(made).spam_at)
    doubt, of = 1 - made.belief.right, wrong[kept]
    return Trial(found, float(doubt[of].mean()) if of.any() else 0.0, float(doubt[~of].mean()), why)


def measured(world: World, seeds: Sequence[int], settings: Any) -> Any:
    """A row for each poison: means over seeds, how often and why the gate refuses, the worst of what it let through."""
    from trainer.evaluation.comparison import Comparison

    table = Comparison(f"poison: {world.source}, {CORRECTED} corrections", COLUMNS, "labels")
    draws: dict[tuple[str, ...], list[Draw]] = {}
    for title, poison in POISONS.items():
        people = poison.people
        if people not in draws:
            draws[people] = [drawn(world, people, seed, settings) for seed in seeds]
        trials = [tried(world, draw, poison, settings) for draw in draws[people]]
        why = Counter(reason for trial in trials for reason in set(trial.reasons))
        passed = [trial.ham_lost for trial in trials if not trial.reasons]
        worst = "{:.2f} ({:.2f}-{:.2f})".format(*max(passed)) if passed else "none passed"
        table.add(
            title, {key: float(np.mean([trial.figures[key] for trial in trials])) for key in COLUMNS},
            wrong_doubted=f"{100 * np.mean([trial.wrong_doubted for trial in trials]):.0f} %",
            right_doubted=f"{100 * np.mean([trial.right_doubted for trial in trials]):.1f} %",
            gate_refuses=f"{sum(bool(trial.reasons) for trial in trials)} of {len(seeds)}",
            because="; ".join(f"{reason}: {count}" for reason, count in why.most_common()),
            most_ham_lost_percent_by_one_that_passed=worst,
            within_the_budget="yes" if all(low <= 100 * BUDGET for _, low, _ in passed) else "NO",
        )  # fmt: skip
        click.echo(f"{world.source}: {title}", err=True)
    return table


@click.command()
@data_option
@run_option
@set_option
@source_option
@click.option("--seeds", default=5, show_default=True, help="Draws of corrections and of wrong labels.")
@click.option(
    "--first-seed", default=0, show_default=True, help="The first draw's seed; others show what was not seen."
)
def command(
    data_dir: Path | None, run: Path, overrides: tuple[str, ...], names: tuple[str, ...], seeds: int, first_seed: int
) -> None:  # fmt: skip
    """What wrong corrections cost, and whether the gate would have stopped them."""
    from trainer.experiments.trials import publish
    from trainer.recipes.retrain import Retrain
    from trainer.run import load_recipe

    settings = load_recipe(Retrain, "retrain", {"bands": False, **values(overrides)})
    draws = range(first_seed, first_seed + seeds)
    tables = [measured(world, draws, settings) for world in worlds_of(names or SOURCES, run, data_dir)]
    publish(run / FOLDER, "Poison", tables, [
        f"In service: a model of the first {RIGHT} corrections, all right. Budget: {100 * BUDGET:g} % of ham. "
        f"Seeds: {first_seed} to {first_seed + seeds - 1}.",
        f"The gate judges by {GOLDEN} golden messages and by the fifth of later corrections that was held out.",
        "Doubted: the part of wrong and of right labels' weight that the candidate did not learn from.",
        "Most ham lost: by one draw's candidate that passed, percent, with its 95 % interval (Clopper and Pearson); "
        "within the budget: no such interval lies above it.",
    ])  # fmt: skip
