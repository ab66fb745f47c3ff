"""`finetune`: a pretrained GPT becomes a classifier."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import data_option, recipe_option, run_option, set_option, values


@click.command()
@data_option
@run_option
@recipe_option("finetune")
@set_option
@click.option("--base", default="", help="Another base: a pretraining's folder, `random`, or `gpt2:PATH-OR-ID`.")
@click.option("--name", default="finetune", show_default=True, help="The fine-tuning's folder below the run's.")
def command(data_dir: Path | None, run: Path, recipe: str, overrides: tuple[str, ...], base: str, name: str) -> None:
    """Teach a pretrained GPT ham and spam, with all or few trained parameters (goes on where it stopped)."""
    from trainer.base import named_base
    from trainer.data.prepared import fingerprint_of, table_of
    from trainer.evaluation.curves import draw
    from trainer.recipes.finetune import Finetune, finetune
    from trainer.run import Run, load_recipe
    from trainer.teacher import cache_of

    settings = load_recipe(Finetune, recipe, values(overrides))
    table = table_of(data_dir, run)
    training = Run.open(run / name, settings, data=fingerprint_of(table))
    finetune(settings, training, table, named_base(base, run), teacher_cache=cache_of(run))
    click.echo(f"curves: {draw(training.folder)}")
