"""`pretrain`: language from raw text."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import data_option, recipe_option, run_option, set_option, values


@click.command()
@data_option
@run_option
@recipe_option("pretrain")
@set_option
@click.option("--name", default="pretrain", show_default=True, help="The pretraining's folder below the run's.")
def command(data_dir: Path | None, run: Path, recipe: str, overrides: tuple[str, ...], name: str) -> None:
    """Teach a GPT language from raw text (goes on where it stopped). Several processes: start it with torchrun."""
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import fingerprint_of, table_of
    from trainer.evaluation.curves import draw
    from trainer.recipes.pretrain import Pretrain, pretrain
    from trainer.run import Run, load_recipe
    from trainer.teacher import cache_of

    settings = load_recipe(Pretrain, recipe, values(overrides))
    table = table_of(data_dir, run)
    training = Run.open(run / name, settings, data=fingerprint_of(table))
    pretrain(settings, training, table, find(data_dir), teacher_cache=cache_of(run))
    click.echo(f"curves: {draw(training.folder)}")
