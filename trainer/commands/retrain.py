"""`retrain`: from corrections to a candidate and the gate's report; `spamfilter retrain` starts it and installs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from trainer.commands.options import set_option, values

STORE_VARIABLE = "SPAMFILTER_RETRAIN_STORE"
"""The store's URL may hold a password, and a command line is for all to read."""


@click.command()
@click.option(
    "--state-dir", type=click.Path(path_type=Path), required=True, help="The daemon's folder: labels, golden set."
)
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), required=True, help="Folder to write into: snapshot, candidate."
)
@click.option("--bundle", type=click.Path(path_type=Path), help="The model in service; the shipped one if not given.")
@click.option(
    "--store", default="", metavar="URL", envvar=STORE_VARIABLE, show_envvar=True,
    help="The labels' database; the one in the state folder if not given.",
)  # fmt: skip
@click.option("--key", type=click.Path(path_type=Path), help="File of the key that labelled mail is sealed with.")
@click.option("--budget", default=0.005, show_default=True, help="The share of ham that may be called spam.")
@click.option("--unsure-budget", default=0.1, show_default=True, help="The share of ham that may be called unsure.")
@click.option("--force", is_flag=True, help="Let it pass where there are too few messages to judge it on.")
@set_option
def command(
    state_dir: Path, folder: Path, bundle: Path | None, store: str, key: Path | None, budget: float,
    unsure_budget: float, force: bool, overrides: tuple[str, ...],
) -> None:  # fmt: skip
    """Retrain the model in service on what people corrected, and judge the candidate.

    Progress and result are JSON lines on standard output: step, done, of, eta_s; at the end the result.
    """
    from spamfilter.classifier.bundle import default_bundle
    from trainer.gate import GateSettings
    from trainer.retraining import Job, run, settings_of

    job = Job(
        state_dir=state_dir,
        folder=folder,
        bundle=bundle or default_bundle(),
        store=store,
        key=key,
        force=force,
        retrain=settings_of(values(overrides)),
        gate=GateSettings(budget=budget, unsure_budget=unsure_budget),
    )
    run(job, _print)


def _print(told: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
