"""`distil`: a pretrained base learns meaning from a teacher."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import data_option, recipe_option, run_option, set_option, values


@click.command()
@data_option
@run_option
@recipe_option("distil")
@set_option
@click.option("--base", default="", help="Another base: a pretraining's folder; the run's own if not given.")
@click.option("--name", default="distil", show_default=True, help="The distillation's folder below the run's.")
def command(data_dir: Path | None, run: Path, recipe: str, overrides: tuple[str, ...], base: str, name: str) -> None:
    """Go on with a pretrained base: tell texts apart by meaning, as a sentence encoder does."""
    from trainer.base import keep_base, load_base
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import fingerprint_of, table_of
    from trainer.evaluation.curves import draw
    from trainer.recipes.distil import Distil, distil
    from trainer.run import Run, load_recipe
    from trainer.teacher import cache_of

    settings = load_recipe(Distil, recipe, values(overrides))
    table = table_of(data_dir, run)
    start = Path(base) if base else run / "pretrain"
    loaded = load_base(start)
    training = Run.open(run / name, settings, data=fingerprint_of(table))
    keep_base(training.folder, start, loaded)
    distil(settings, training, table, find(data_dir), loaded, teacher_cache=cache_of(run))
    click.echo(f"curves: {draw(training.folder)}")
