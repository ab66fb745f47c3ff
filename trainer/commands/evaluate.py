"""`evaluate`: how good a bundle is, beside what anybody can have without it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from trainer.commands.options import data_option, run_option

_WANTED = {"test": {"roc_auc": 0.995}}


@click.command()
@data_option
@run_option
@click.option("--bundle", type=click.Path(path_type=Path), help="Folder of the bundle; the shipped one if not given.")
@click.option(
    "--on", type=click.Choice(["test", "holdout"]), default="test", show_default=True,
    help="The fixed SpamAssassin test part, or the tenth of every source that was held out.",
)  # fmt: skip
@click.option("--imported", metavar="NAME", help="Measure on a whole source of the table instead, by its name.")
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Fit and measure the baselines, too.")
@click.option(
    "--bogofilter/--no-bogofilter", default=True, show_default=True, help="Train and measure bogofilter, too."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report; RUN/evaluation/NAME if not given.")
@click.option("--resamples", default=1000, show_default=True, help="Bootstrap resamples for the intervals.")
@click.option("--seed", default=123, show_default=True, help="Seed of the resampling.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of a table.")
def command(
    data_dir: Path | None,
    run: Path,
    bundle: Path | None,
    on: str,
    imported: str | None,
    baselines: bool,
    bogofilter: bool,
    out: Path | None,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Measure a bundle on a labelled set: report, figures, pictures, predictions."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from spamfilter import classifier, config
    from spamfilter.classifier.bundle import BundleError, default_bundle, open_bundle
    from spamfilter.operating_point import resolve_policy
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import fingerprint_of, table_of
    from trainer.errors import DataError, TrainerError
    from trainer.evaluation import scoring, trial
    from trainer.evaluation.bogofilter import absence
    from trainer.evaluation.breakdown import worst
    from trainer.evaluation.provenance import provenance
    from trainer.evaluation.report import Report, figures_of, write

    quiet = Console(stderr=True)
    folder, name = find(data_dir), imported or on
    try:
        opened = open_bundle(bundle or default_bundle())
        model = classifier.load(opened.path)
    except BundleError as error:
        raise TrainerError(str(error)) from None
    thresholds = resolve_policy(config.load(environ={}).policy, opened).thresholds
    table = table_of(data_dir, run)
    rows = table[table["source"] == imported] if imported else table[table["part"] == on]
    if rows.empty:
        known = ", ".join(sorted(table["source"].unique()))
        raise DataError(f"no messages of {name} in the table of {run}; its sources are {known}")
    train = table[(table["part"] == "train") & (table["source"] != imported) & ~table["group"].isin(rows["group"])]
    examples = scoring.matched(rows, scoring.corpora_of(dict.fromkeys(rows["source"]), folder, run))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=quiet, transient=True) as progress:
        task = progress.add_task("scoring", total=len(examples))
        judgement = scoring.judge(model, examples, lambda: progress.advance(task))
    notes = []
    if imported and imported in str(opened.manifest.get("training", "")):
        notes.append(f"the model learnt from {imported}, by its own card: its rows are flattered here")
    elif on == "holdout" and not imported:
        notes.append("the model was calibrated on the holdout: its ECE and its default cut are flattered here")
    if judgement.failures:
        kinds = sorted({str(failure.kind) for failure in judgement.failures.values()})
        notes.append(
            f"{len(judgement.failures)} of {len(rows)} messages were not scanned ({', '.join(kinds)}): left out"
        )
    everything, scanned = rows, judgement.scanned
    if not scanned.any():
        raise DataError(f"{opened.path}: not one of {len(rows)} messages could be scanned")
    rows, examples = rows[scanned], [e for e, ok in zip(examples, scanned, strict=True) if ok]
    entrants = trial.members(judgement.only(scanned), thresholds)
    with quiet.status("baselines") as status:
        if baselines:
            entrants += trial.rivals(train, rows, lambda turn: status.update(f"baseline: {turn}"))
        if bogofilter and (reason := absence()) is not None:
            notes.append(f"no row of bogofilter: {reason}")
        elif bogofilter:
            status.update("baseline: bogofilter")
            learnt = scoring.matched(train, scoring.corpora_of(dict.fromkeys(train["source"]), folder, run))
            entrants.append(trial.bogofilter(learnt, examples))
        status.update("intervals and pictures")
        spam = rows["spam"].to_numpy()
        headline = trial.compare(
            "Beside the baselines",
            spam,
            entrants,
            {} if imported else _WANTED.get(on, {}),
            resamples=resamples,
            seed=seed,
        )
        given = {"--run": run, "--data-dir": data_dir, "--bundle": bundle, "--imported": imported, "--out": out}
        words = [f"{key}={value}" for key, value in given.items() if value is not None]
        words += [] if imported else [f"--on={on}"]
        words += [] if baselines else ["--no-baselines"]
        words += [] if bogofilter else ["--no-bogofilter"]
        words += [f"--resamples={resamples}", f"--seed={seed}"]
        report = Report(
            title=f"{opened.model_id} on {name}",
            measured=f"{len(rows):,} messages of {', '.join(dict.fromkeys(rows['source']))}: "
            f"{int((spam == 0).sum()):,} ham and {int((spam == 1).sum()):,} spam.",
            headline=headline,
            sources=trial.source_rows(f"By source: {trial.ENSEMBLE}", rows, entrants[0]),
            pictures=trial.pictures(spam, entrants, thresholds, run),
            mistakes=worst(rows, entrants[0].score, threshold=thresholds.spam_at),
            settings={
                "model": opened.model_id,
                "made": opened.manifest.get("created", "unknown"),
                "thresholds": f"unsure at {thresholds.unsure_at:.4f}, spam at {thresholds.spam_at:.4f}",
                "data": f"{name}, fingerprint {fingerprint_of(rows)}",
                "baselines learnt from": f"{len(train):,} messages, fingerprint {fingerprint_of(train)}"
                if baselines or bogofilter
                else "no baselines",
                "intervals": f"{resamples:,} stratified bootstrap resamples, seed {seed}",
                **provenance(),
            },
            command=shlex.join(["python", "-m", "trainer", "evaluate", *words]),
            notes=notes,
        )
        target = out or run / "evaluation" / name
        page = write(report, target)
        trial.predictions(everything, judgement).to_csv(target / "predictions.csv", index=False)
    if as_json:
        import json

        click.echo(json.dumps(figures_of(report), allow_nan=False))
        return
    screen = Console() if sys.stdout.isatty() else Console(width=140)
    screen.print(headline.table())
    for line in [*notes, *headline.shortfalls()]:
        screen.print(line, markup=False)
    screen.print(f"report: {page}", markup=False)
