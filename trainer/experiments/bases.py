"""`compare bases`: what pretraining is worth, by the same fine-tuning from three starts of the same size.

Random weights, a base that has read The Verdict alone (the reference's pretraining), and the run's own, which has read
mail and modern English. Steps, seeds, messages and tokenizer are the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trainer.base import Base, load_base
from trainer.commands.options import data_option, recipe_option, run_option, set_option, values
from trainer.evaluation.canvas import blank, dress, line, save
from trainer.evaluation.comparison import Comparison
from trainer.evaluation.curves import read_metrics
from trainer.evaluation.metrics import figures
from trainer.experiments.collection import ranks_of, sms_table, unread_base
from trainer.experiments.strategies import Task, mail_task, sms_task
from trainer.experiments.trials import publish, tried
from trainer.recipes.finetune import Finetune
from trainer.recipes.pretrain import Pretrain, pretrain
from trainer.run import Run, load_recipe

SEEDS = (123, 1, 2)
COLUMNS = ("accuracy", "roc_auc", "recall_at_0.5")
RANDOM, STORY, OWN = "random weights", "The Verdict alone", "the run's base"
_MEASURED = 12  # times over a fine-tuning


def story_settings(own: Base, tokens: int, threads: int) -> Pretrain:
    """Pretraining on The Verdict at the sizes of a base."""
    c = own.config
    return Pretrain(
        corpora=("the-verdict",), vocab_size=c.vocab_size, context=c.context, layers=c.layers, heads=c.heads,
        channels=c.channels, dropout=c.dropout, batch=4, tokens=tokens, learning_rate=0.001, warmup=50, teacher=0.0,
        checkpoint_every=100, threads=threads,
    )  # fmt: skip


def story_base(settings: Pretrain, data: Path, ranks: Path, folder: Path, table: pd.DataFrame) -> Base:
    """A base that has read The Verdict alone, with the tokenizer of file `ranks`; kept in `folder`."""
    run = Run.open(folder, settings, data=hashlib.blake2b(ranks.read_bytes(), digest_size=6).hexdigest())
    if not (folder / "final.pt").exists():
        shutil.copyfile(ranks, folder / "tokenizer.tiktoken")
        pretrain(settings, run, table, data, teacher_cache=folder / "teacher.npz")
    return load_base(folder)


def compared(
    tasks: Sequence[Task], bases: Mapping[str, Base], settings: Finetune, folder: Path, title: str
) -> Comparison:
    """A row for each base: mean figures over the tasks (splits), and each task's accuracy."""
    comparison = Comparison(f"Bases: {title}", COLUMNS, leading="fine-tuned from")
    for name, base in bases.items():
        found, each = [], {}
        for task in tasks:
            steps = max(int(settings.epochs * len(task.division.train)) // settings.batch, 1)
            one = dataclasses.replace(settings, checkpoint_every=max(steps // _MEASURED, 1))
            trial = tried(_place(folder, name, task), one, task.table, base, task.division, task.test)
            spam = task.table["spam"].to_numpy()[task.test]
            found.append(figures(spam, trial.scores[task.test], threshold=0.0))
            if len(tasks) > 1:
                each[task.title.rpartition(", ")[2].replace(" ", "_")] = f"{100 * found[-1]['accuracy']:.2f}"
        comparison.add(name, {key: float(np.mean([one[key] for one in found])) for key in COLUMNS}, **each)
    return comparison


def _place(folder: Path, name: str, task: Task) -> Path:
    return folder / f"{task.title}, {name}".replace(" ", "-").replace(",", "").replace("'", "")


def learning(tasks: Sequence[Task], names: Sequence[str], folder: Path) -> Figure:
    """Training loss (left) and held-out ROC AUC (right) over steps, one row a task, one line a base."""
    figure = blank(9.0, 0.6 + 2.9 * len(tasks))
    axes = figure.subplots(len(tasks), 2, squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for ax, key, label in zip(
            row, ("loss", "holdout_auc"), ("training loss (nats)", "validation ROC AUC"), strict=True
        ):
            for number, name in enumerate(names):
                metrics = read_metrics(_place(folder, name, task) / "metrics.jsonl")
                points = [(values["step"], values[key]) for values in metrics if key in values]
                if points:
                    ax.plot(*np.array(points).T, label=name, **line(number))
            dress(ax, "optimizer steps", label)
            ax.set_title(task.title, fontsize=9)
        row[0].legend(frameon=False)
    return figure


@click.command()
@data_option
@run_option
@recipe_option("sms")
@set_option
@click.option("--tokens", default=1_500_000, show_default=True, help="Tokens of The Verdict to read, many times over.")
@click.option("--messages", default=2000, show_default=True, help="Mails to train on; 0 leaves mail out.")
def command(
    data_dir: Path | None, run: Path, recipe: str, overrides: tuple[str, ...], tokens: int, messages: int
) -> None:
    """The same fine-tuning from random weights, from The Verdict and from the run's base; SMS and mail."""
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import table_of

    data, folder = find(data_dir), run / "experiments" / "bases"
    same = {"language": 0.0, "teacher": 0.0, **values(overrides)}  # nothing but the labels teaches the classes
    settings = load_recipe(Finetune, recipe, same)
    sms = sms_table(data, run / "experiments" / "sms.jsonl")
    own = unread_base(run)
    ranks = ranks_of(run)
    story = story_base(story_settings(own, tokens, settings.threads), data, ranks, folder / "the-verdict", sms)
    bases = {OWN: own, STORY: story, RANDOM: own.random()}
    tasks = [sms_task(sms, seed) for seed in SEEDS]
    tables = [compared(tasks, bases, settings, folder, f"SMS, the reference's split, mean of {len(SEEDS)} seeds")]
    drawn = [tasks[0]]
    if messages:
        mail = mail_task(table_of(data_dir, run), ("spamassassin", "csdmc2010"), messages)
        once = load_recipe(Finetune, recipe, {"epochs": 1.0, **same})
        tables.append(compared([mail], bases, once, folder, mail.title))
        drawn.append(mail)
    save(learning(drawn, list(bases), folder), folder / "bases.png")
    notes = [
        f"The run's base and the story's have the same sizes and tokenizer; the story was read for {tokens:,} tokens.",
        f"Strategy {settings.strategy}, learning rate {settings.learning_rate:g}, no teacher; curves: bases.png.",
    ]
    publish(folder, "Bases", tables, notes)
