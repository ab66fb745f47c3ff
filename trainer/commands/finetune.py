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
def command(data_dir: Path | None, run: Path, recipe: str, overrides: tuple[str, ...]) -> None:
    """Teach a pretrained GPT ham and spam; `--set leave_out=SOURCE` for a run that never sees a source."""
    from spamfilter.classifier.tokenizer import Tokenizer
    from trainer.assemble import load_finetuned, network_of
    from trainer.data.prepared import table_of
    from trainer.recipes.finetune import Finetune, finetune
    from trainer.run import Run, load_recipe

    settings = load_recipe(Finetune, recipe, values(overrides))
    folder = run / (f"leave-out-{settings.leave_out}" if settings.leave_out else "finetune")
    tokenizer = Tokenizer.load(run / "pretrain" / "tokenizer.tiktoken")
    model = load_finetuned(run / "pretrain", tokenizer, network_of(run, tokenizer.vocab_size))
    finetune(settings, Run.open(folder, settings), table_of(data_dir, run), model, tokenizer)
