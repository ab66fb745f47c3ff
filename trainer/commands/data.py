"""`data`: corpora, from files to a table."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import data_option, run_option


@click.command()
@data_option
@run_option
def command(data_dir: Path | None, run: Path) -> None:
    """Extract the corpora once and count what came out."""
    from trainer.data.prepared import table_of

    table = table_of(data_dir, run)
    click.echo(table.groupby(["source", "part", "spam"]).size().unstack(fill_value=0).to_string())
