"""`export`: from runs to a bundle that serves."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import data_option, run_option


@click.command()
@data_option
@run_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new bundle.")
@click.option("--name", default="default", show_default=True, help="First part of the model's id.")
@click.option("--int8/--fp32", default=True, show_default=True, help="Precision of the served matrices.")
def command(data_dir: Path | None, run: Path, out: Path, name: str, int8: bool) -> None:
    """Fit the linear stages, calibrate, measure on the fixed test, write the bundle."""
    from trainer.assemble import assemble
    from trainer.data.prepared import table_of

    bundle = assemble(table_of(data_dir, run), run, out, name=name, int8=int8)
    click.echo(f"{bundle.model_id} written to {out}")
