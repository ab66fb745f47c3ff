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
def command(data_dir: Path | None, run: Path, recipe: str, overrides: tuple[str, ...]) -> None:
    """Teach a GPT language from raw text (goes on where it stopped)."""
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import table_of
    from trainer.recipes.pretrain import Pretrain, pretrain
    from trainer.run import Run, load_recipe

    settings = load_recipe(Pretrain, recipe, values(overrides))
    pretrain(settings, Run.open(run / "pretrain", settings), table_of(data_dir, run), find(data_dir))
