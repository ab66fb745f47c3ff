"""`compare strategies`: what each way of fine-tuning trains, how long it takes, how well it judges; and the poolings.

All start from the same base and see the same messages in the same order; each has the learning rate that its number of
trained parameters bears.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from trainer.base import Base
from trainer.commands.options import data_option, recipe_option, run_option, set_option, values
from trainer.data.prepared import render_columns
from trainer.data.splits import grouped_split, reference_split
from trainer.errors import RecipeError
from trainer.evaluation.comparison import Comparison
from trainer.evaluation.metrics import figures
from trainer.experiments.collection import sms_table, unread_base
from trainer.experiments.trials import Division, longest, publish, tried
from trainer.gpt import POOLINGS
from trainer.recipes.finetune import Finetune
from trainer.run import load_recipe
from trainer.strategies import STRATEGIES

RATES: Mapping[str, float] = {
    "head": 0.01, "last-block": 0.002, "last-n": 0.001, "lora": 0.002, "qlora": 0.002, "full": 0.0004,
}  # fmt: skip
POOLED_BY = "last-block"
"""The strategy whose row is repeated for each pooling."""
CONDITIONAL = ("qlora",)
"""Strategies that need what may not be installed."""
COLUMNS = ("accuracy", "blocked_ham_percent", "roc_auc", "recall_at_0.5")


@dataclass(frozen=True, slots=True)
class Task:
    """A table with what may be trained on, and what judges."""

    title: str
    table: pd.DataFrame
    division: Division
    test: np.ndarray


def sms_task(table: pd.DataFrame, seed: int = 123) -> Task:
    """The reference split of the SMS collection."""
    split = reference_split(table["spam"].to_numpy(), seed)
    division = Division(split.train, split.validation)
    return Task(f"SMS, the reference's split, seed {seed}", table, division, split.test)


def mail_task(table: pd.DataFrame, sources: tuple[str, ...], messages: int, seed: int = 123) -> Task:
    """Mail of some sources: trained on `messages` of their part `train`, judged by their holdout, never by the test.

    A tenth of the training messages, in whole groups, is measured while training goes on.
    """
    mine, part = table["source"].isin(sources).to_numpy(), table["part"].to_numpy()
    pool, test = np.flatnonzero(mine & (part == "train")), np.flatnonzero(mine & (part == "holdout"))
    drawn = np.sort(np.random.default_rng(seed).permutation(pool)[:messages])
    groups, spam = table["group"].to_numpy()[drawn], table["spam"].to_numpy()[drawn]
    kept = grouped_split(groups, spam, {"train": 0.9, "validation": 0.1}, seed)
    division = Division(drawn[kept == "train"], drawn[kept == "validation"])
    return Task(f"mail of {' and '.join(sources)}, its holdout", table, division, test)


def compared(task: Task, base: Base, settings: Finetune, folder: Path) -> Comparison:
    """A row for each strategy, then one for each pooling under `POOLED_BY`. What cannot run here says why."""
    comparison = Comparison(f"Strategies: {task.title}", COLUMNS, leading="strategy")
    for strategy in STRATEGIES:
        _row(comparison, task, base, _by(settings, strategy), folder / strategy, strategy)
    pad_to = longest(base, *render_columns(task.table.iloc[task.division.train]))
    for pooling in POOLINGS:
        one = dataclasses.replace(_by(settings, POOLED_BY), pooling=pooling)
        if pooling == "last-padded":
            one = dataclasses.replace(one, pad_to=pad_to)
        name = f"{POOLED_BY}, pooling {pooling}" + (f" (padded to {pad_to})" if one.pad_to else "")
        where = POOLED_BY if one == _by(settings, POOLED_BY) else f"{POOLED_BY}-{pooling}"
        _row(comparison, task, base, one, folder / where, name)
    return comparison


def _by(settings: Finetune, strategy: str) -> Finetune:
    return dataclasses.replace(settings, strategy=strategy, learning_rate=RATES.get(strategy, settings.learning_rate))


def _row(comparison: Comparison, task: Task, base: Base, settings: Finetune, folder: Path, name: str) -> None:
    rows = np.concatenate([task.division.validation, task.test])
    try:
        trial = tried(folder, settings, task.table, base, task.division, rows)
    except RecipeError as error:
        if settings.strategy not in CONDITIONAL:
            raise
        comparison.add(f"{name}: {error}", {})
        return
    spam, known = task.table["spam"].to_numpy(), task.division.validation
    right = (trial.scores[known] > 0) == (spam[known] == 1)
    comparison.add(
        name, figures(spam[task.test], trial.scores[task.test], threshold=0.0), trained=f"{trial.trained:,}",
        of=f"{trial.total:,}", minutes=f"{trial.seconds / 60:.2f}", validation=f"{100 * right.mean():.2f}",
    )  # fmt: skip


@click.command()
@data_option
@run_option
@recipe_option("sms")
@set_option
@click.option("--on", "kind", type=click.Choice(["sms", "mail"]), default="sms", show_default=True, help="What on.")
@click.option("--messages", default=1500, show_default=True, help="Mails to train on.")
def command(
    data_dir: Path | None, run: Path, recipe: str, overrides: tuple[str, ...], kind: str, messages: int
) -> None:
    """Each fine-tuning strategy, and each pooling: trained parameters, minutes, validation and test figures."""
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import table_of

    plain = {"language": 0.0, "teacher": 0.0}  # what is compared is what is trained, not what is learnt beside
    if kind == "mail":
        task = mail_task(table_of(data_dir, run), ("spamassassin",), messages)
        plain["epochs"] = 1.0
    else:
        task = sms_task(sms_table(find(data_dir), run / "experiments" / "sms.jsonl"))
    settings = load_recipe(Finetune, recipe, {**plain, **values(overrides)})
    folder = run / "experiments" / "strategies" / kind
    base = unread_base(run)
    comparison = compared(task, base, settings, folder)
    notes = [
        f"{len(task.division.train):,} messages to train on, {len(task.test):,} to judge, {settings.epochs:g} epochs; "
        "the learning rate of each strategy: " + ", ".join(f"{name} {rate:g}" for name, rate in RATES.items()) + "."
    ]
    publish(folder, f"Strategies on {kind}", [comparison], notes)
