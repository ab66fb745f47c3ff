"""`retrain`: from corrections to a candidate and the gate's report; `spamfilter retrain` starts it and installs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import click

from trainer.commands.options import set_option, values
from trainer.recipes.retrain import NETWORKS

STORE_VARIABLE = "SPAMFILTER_RETRAIN_STORE"
"""The store's URL may hold a password, and a command line is for all to read."""


@click.command()
@click.option(
    "--state-dir", type=click.Path(path_type=Path), required=True, help="The daemon's folder: labels, golden set."
)
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), required=True, help="Folder to write into: snapshot, candidate."
)
@click.option("--run", type=click.Path(path_type=Path), help="The run that the model was trained in, to rehearse from.")
@click.option("--network", type=click.Choice(NETWORKS), help="What of the GPT learns; all but its head needs --run.")
@click.option("--bundle", type=click.Path(path_type=Path), help="The model in service; the shipped one if not given.")
@click.option(
    "--store", default="", metavar="URL", envvar=STORE_VARIABLE, show_envvar=True,
    help="The labels' database; the one in the state folder if not given.",
)  # fmt: skip
@click.option("--key", type=click.Path(path_type=Path), help="File of the key that labelled mail is sealed with.")
@click.option("--budget", default=0.005, show_default=True, help="The share of ham that may be called spam.")
@click.option("--unsure-budget", default=0.1, show_default=True, help="The share of ham that may be called unsure.")
@click.option("--spam-at", type=float, help="The spam threshold in force, where it is set as a number.")
@click.option("--unsure-at", type=float, help="The unsure threshold in force, where it is set as a number.")
@click.option("--force", is_flag=True, help="Let it pass where there are too few messages to judge it on.")
@set_option
def command(
    state_dir: Path, folder: Path, run: Path | None, network: str | None, bundle: Path | None, store: str,
    key: Path | None, budget: float, unsure_budget: float, spam_at: float | None, unsure_at: float | None, force: bool,
    overrides: tuple[str, ...],
) -> None:  # fmt: skip
    """Retrain the model in service on what people corrected, and judge the candidate.

    Progress and result are JSON lines on standard output: step, done, of, eta_s; at the end the result.
    """
    from spamfilter.classifier.bundle import default_bundle
    from trainer import retraining
    from trainer.gate import GateSettings
    from trainer.job import Job

    chosen = {} if network is None else {"network": network}
    job = Job(
        state_dir=state_dir,
        folder=folder,
        bundle=bundle or default_bundle(),
        store=store,
        key=key,
        force=force,
        run=run,
        retrain=retraining.settings_of({**values(overrides), **chosen}),
        gate=GateSettings(budget=budget, unsure_budget=unsure_budget, spam_at=spam_at, unsure_at=unsure_at),
    )
    stream = sys.stdout  # what prints beside it, while a network learns, is sent elsewhere
    retraining.run(job, lambda told: _print(stream, told))


def _print(stream: TextIO, told: Mapping[str, Any]) -> None:
    stream.write(json.dumps(told) + "\n")
    stream.flush()
