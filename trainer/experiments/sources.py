"""`compare sources`: leave each source out of everything, then judge on it, beside every baseline on the same split.

What counts is mail that the filter has never seen. A source is left out of the pretraining's texts, the fine-tuning,
the linear stages and the units; so are the near-duplicates of its messages. The scores found here also calibrate the
bundle (`export`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from trainer.commands.options import data_option, run_option, set_option, values

SOURCES = ("spamassassin", "csdmc2010", "enron", "sms")
source_option = click.option(
    "--source", "names", multiple=True, type=click.Choice(SOURCES), help="Only these (repeatable)."
)
FOLDER = Path("experiments") / "sources"
_COLUMNS = ("ham", "spam", "roc_auc", "one_minus_roca_percent", "recall_at_0.1", "recall_at_0.5")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was found on a source that was left out: the judged rows of the table, the stages' scores, the rivals'."""

    rows: np.ndarray
    unseen: Any
    rivals: dict[str, np.ndarray]


@click.command()
@data_option
@run_option
@set_option
@source_option
@click.option("--most", default=8000, show_default=True, help="Judge at most so many messages of a source, drawn.")
@click.option("--rivals/--no-rivals", default=True, help="Fit the baselines, too.")
def command(
    data_dir: Path | None, run: Path, overrides: tuple[str, ...], names: tuple[str, ...], most: int, rivals: bool
) -> None:
    """Leave each source out of training and judge on it, beside every baseline."""
    from rich.console import Console

    from trainer.base import load_base
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import fingerprint_of, table_of
    from trainer.evidence import Evidence
    from trainer.recipes.finetune import Finetune
    from trainer.run import load_recipe

    table = table_of(data_dir, run)
    evidence = Evidence.of(table, load_base(run / "pretrain").tokenizer)
    stamp = fingerprint_of(table)
    found: dict[str, LeftOut] = {}
    for source in names or SOURCES:
        settings = load_recipe(Finetune, "finetune", {**values(overrides), "leave_out": (source,)})
        found[source] = judged(evidence, run, source, settings, stamp=stamp, most=most, data=find(data_dir))
        if rivals:
            with_rivals(found[source], evidence, run, source, stamp, find(data_dir))
    screen = Console(width=140)
    for made in tables(found):
        screen.print(made.table())
        file = run / FOLDER / made.title.split(":")[0].replace(" ", "-")
        made.save(file.with_suffix(".json"))
        file.with_suffix(".md").write_text(made.markdown(), "utf-8")
        for line in made.shortfalls():
            click.echo(f"falls short: {line}")


def judged(evidence: Any, run: Path, source: str, settings: Any, *, stamp: str, most: int, data: Path) -> LeftOut:
    """Train without a source, if that has not been done, and score it. Kept in the run's folder."""
    from trainer.base import load_base
    from trainer.recipes.finetune import finetune
    from trainer.run import Run
    from trainer.teacher import cache_of

    file = run / FOLDER / f"{source}.npz"
    if (kept := load(file, evidence, source, stamp)) is not None:
        return kept
    base = load_base(base_without(source, run, evidence.table, data))
    training = Run.open(run / f"leave-out-{source}", settings, data=stamp)
    model = finetune(settings, training, evidence.table, base, teacher_cache=cache_of(run))
    linear = evidence.fit(evidence.rows("train", without=source))
    mine = evidence.source == source
    rows = np.flatnonzero(mine & (evidence.table["part"] != "test").to_numpy())
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(settings.seed).choice(rows, most, replace=False))
    holdout = evidence.rows("holdout", without=source)
    own = dataclasses.replace(evidence, tokenizer=base.tokenizer)
    scores = own.scores(rows, *linear, model, precision="auto")
    home = own.scores(holdout, *linear, model, precision="auto")
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        file, stamp=np.array(stamp), rows=rows, holdout=holdout,
        **{f"score_{stage}": v for stage, v in scores.items()}, **{f"home_{stage}": v for stage, v in home.items()},
    )  # fmt: skip
    kept = load(file, evidence, source, stamp)
    assert kept is not None
    return kept


def load(file: Path, evidence: Any, source: str, stamp: str) -> LeftOut | None:
    """What an earlier run found, or None where there is nothing or it was found on other data."""
    from trainer.stacking import STAGES, Unseen, units_of

    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as kept:
        if str(kept["stamp"]) != stamp:
            return None
        rows, holdout = kept["rows"], kept["holdout"]
        scores = {stage: kept[f"score_{stage}"] for stage in STAGES}
        home = {stage: kept[f"home_{stage}"] for stage in STAGES}
    units = units_of(home, evidence.spam[holdout], evidence.has_headers[holdout])
    unseen = Unseen(source, scores, evidence.spam[rows], evidence.has_headers[rows], evidence.source[rows], units)
    rivals: dict[str, np.ndarray] = {}
    beside = file.with_name(f"{source}-rivals.npz")
    if beside.exists():
        with np.load(beside, allow_pickle=False) as kept:
            if str(kept["stamp"]) == stamp and np.array_equal(kept["rows"], rows):
                rivals = {name: kept[name] for name in kept.files if name not in ("stamp", "rows")}
    return LeftOut(rows, unseen, rivals)


def base_without(source: str, run: Path, table: pd.DataFrame, data: Path) -> Path:
    """The folder of a base that never read the source: the run's own, or one made for it from the other corpora."""
    from trainer.base import base_of, keep_base, load_base
    from trainer.corpus import PLAIN
    from trainer.recipes.distil import Distil, distil
    from trainer.recipes.pretrain import Pretrain, pretrain
    from trainer.run import Run
    from trainer.teacher import cache_of

    frozen = json.loads((run / "pretrain" / "settings.json").read_text())
    if source not in frozen["corpora"]:
        return base_of(run)
    names = {field: frozen[field] for field in Pretrain.__dataclass_fields__ if field in frozen}
    others = sorted({*table["source"].unique(), *PLAIN} - {source, "sms"})
    names |= {"corpora": tuple(others), "tokens": frozen["tokens"] // 10}  # there is less left to read
    settings = Pretrain(**names)
    folder = run / f"pretrain-without-{source}"
    cache = cache_of(run)
    pretrain(settings, Run.open(folder, settings), table, data, teacher_cache=cache)
    if base_of(run) == run / "pretrain":
        return folder
    frozen = json.loads((run / "distil" / "settings.json").read_text())
    names = {field: frozen[field] for field in Distil.__dataclass_fields__ if field in frozen}
    smaller = {"corpora": tuple(others), "epochs": names["epochs"] / 2, "texts": names["texts"] // 2}
    learning = Distil(**{**names, **smaller})
    distilled = run / f"distil-without-{source}"
    training = Run.open(distilled, learning)
    base = load_base(folder)
    keep_base(distilled, folder, base)
    distil(learning, training, table, data, base, teacher_cache=cache)
    return distilled


def with_rivals(found: LeftOut, evidence: Any, run: Path, source: str, stamp: str, data: Path) -> None:
    """Fit every baseline on the same training rows and score the same messages; kept beside the stages' scores."""
    from trainer.evaluation import bogofilter as program
    from trainer.evaluation.scoring import corpora_of, matched
    from trainer.evaluation.trial import bogofilter, rivals

    if found.rivals:
        return
    train = evidence.table.iloc[evidence.rows("train", without=source)]
    rows = evidence.table.iloc[found.rows]
    entrants = list(rivals(train, rows, lambda name: click.echo(f"{source}: {name}")))
    if (reason := program.absence()) is None:
        click.echo(f"{source}: bogofilter")
        wanted = set(zip(train["source"], train["path"], strict=True))
        learned = (e for e in corpora_of(sorted(set(train["source"])), data, run) if (e.source, e.path) in wanted)
        entrants.append(bogofilter(learned, matched(rows, corpora_of([source], data, run))))
    else:
        click.echo(f"no bogofilter row: {reason}")
    found.rivals.update({entrant.name: entrant.score for entrant in entrants if entrant.drawn})
    np.savez(run / FOLDER / f"{source}-rivals.npz", stamp=np.array(stamp), rows=found.rows, **found.rivals)


def tables(found: dict[str, LeftOut]) -> Sequence[Any]:
    """A table a source, and one of the operating point."""
    from trainer.evaluation.comparison import Comparison
    from trainer.evaluation.metrics import figures, summary
    from trainer.stacking import STAGES, Calibration, evidence_sum, shares_without, threshold_table

    made = []
    for source, one in found.items():
        spam = one.unseen.spam
        comparison = Comparison(f"without {source}: judged on it", _COLUMNS)
        best = [summary(spam, score) for score in one.rivals.values()]
        wanted = {}
        if best:
            wanted = {key: max(b[key] for b in best) for key in ("roc_auc", "recall_at_0.5")}
            if one.unseen.mail.mean() > 0.5:
                wanted["one_minus_roca_percent"] = min(b["one_minus_roca_percent"] for b in best) / 3
        comparison.add("ensemble", figures(spam, evidence_sum(one.unseen), threshold=0.0), wanted=wanted)
        for stage in STAGES:
            rest = evidence_sum(one.unseen, shares_without(stage))
            comparison.add(f"ensemble without {stage}", figures(spam, rest, threshold=0.0))
        for stage in STAGES:
            comparison.add(f"{stage} alone", figures(spam, one.unseen.scores[stage], threshold=0.0))
        for name, score in one.rivals.items():
            comparison.add(name, figures(spam, score, threshold=0.0))
        made.append(comparison)
    if len(found) > 1:
        points = Comparison(
            "operating point: the threshold that loses at most 0.5 % of ham", ("ham", "spam", "fp",
            "blocked_ham_percent", "spam_caught_percent"), "left out",
        )  # fmt: skip
        every = [one.unseen for one in found.values()]
        for kind, others_only in (("all left-out sources", False), ("the other left-out sources only", True)):
            for one in every:
                parts = [part for part in every if part is not one] if others_only else every
                calibration = Calibration.fit(parts)
                rows = threshold_table([(calibration.probability(p), p.spam) for p in parts], (0.005,))
                point = figures(one.spam, calibration.probability(one), threshold=rows[0]["probability"])
                points.add(
                    one.name, point, wanted={"blocked_ham_percent": 0.5}, threshold_from=kind,
                    threshold=round(rows[0]["probability"], 4),
                )  # fmt: skip
        made.append(points)
    return made
