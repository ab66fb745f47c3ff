"""`tokenizer`: train a byte-level BPE, or show how one splits a text."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import data_option, recipe_option, run_option, set_option, values


@click.group()
def command() -> None:
    """Train a byte-level BPE, or show how one splits a text."""


@command.command()
@data_option
@run_option
@recipe_option("pretrain")
@set_option
@click.option("--name", default="pretrain", show_default=True, help="The pretraining's folder below the run's.")
def train(data_dir: Path | None, run: Path, recipe: str, overrides: tuple[str, ...], name: str) -> None:
    """Train the BPE of a pretraining, which then takes it as it is."""
    from trainer.corpus import pieces
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import fingerprint_of, table_of
    from trainer.recipes.pretrain import Pretrain, tokenizer_for
    from trainer.run import Run, load_recipe

    settings = load_recipe(Pretrain, recipe, values(overrides))
    table = table_of(data_dir, run)
    texts = [piece.text for piece in pieces(settings.corpora, table, find(data_dir))]
    training = Run.open(run / name, settings, data=fingerprint_of(table))
    tokenizer = tokenizer_for(training, texts, settings.vocab_size)
    characters = sum(map(len, texts[:1000]))
    tokens = sum(len(tokenizer.encode(text)) for text in texts[:1000])
    click.echo(f"{tokenizer.vocab_size:,} tokens, {characters / max(tokens, 1):.2f} characters a token")
    click.echo(f"written to {training.folder / 'tokenizer.tiktoken'}")


@command.command()
@run_option
@click.option("--gpt2", is_flag=True, help="GPT-2's own BPE instead of the run's.")
@click.argument("text")
def show(run: Path, gpt2: bool, text: str) -> None:
    """Show how TEXT is split."""
    from trainer.base import load_base

    if gpt2:
        from trainer.gpt2 import Gpt2Tokenizer

        tokenizer = Gpt2Tokenizer.load()
    else:
        tokenizer = load_base(run / "pretrain").tokenizer
    ids = tokenizer.encode(text)
    click.echo("|".join(tokenizer.decode([i]) for i in ids))
    click.echo(f"{len(ids)} tokens: {ids}")
