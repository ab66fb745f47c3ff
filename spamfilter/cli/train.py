"""`spamfilter train`: the trainer, as a process of its own, niced; the filter itself carries no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import click

NICENESS = 10


@click.command(
    short_help="Pretrain, fine-tune, evaluate, export: runs the trainer.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Run `python -m trainer ARGUMENTS` at low priority. `spamfilter train --help` lists its commands."""
    missing = [name for name in ("torch", "sklearn", "pandas", "tokenizers") if find_spec(name) is None]
    if missing:
        raise click.UsageError(
            f"the trainer needs {', '.join(missing)}: install it with pip install -c constraints.txt '.[train]'"
        )
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *arguments], preexec_fn=lambda: os.nice(NICENESS), check=False
    )
    sys.exit(done.returncode)
