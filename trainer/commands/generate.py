"""`generate`: what a GPT has learnt to write."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import run_option


@click.command()
@run_option
@click.option("--prompt", default="subject: ", show_default=True, help="How the text begins.")
@click.option("--tokens", default=120, show_default=True, help="How many tokens to write.")
@click.option("--seed", default=123, show_default=True, help="Seed of the sampling.")
def command(run: Path, prompt: str, tokens: int, seed: int) -> None:
    """Let a GPT continue a text."""
    import torch

    from spamfilter.classifier.tokenizer import Tokenizer
    from trainer.assemble import load_finetuned, network_of

    tokenizer = Tokenizer.load(run / "pretrain" / "tokenizer.tiktoken")
    model = load_finetuned(run / "pretrain", tokenizer, network_of(run, tokenizer.vocab_size))
    torch.manual_seed(seed)
    ids = model.generate(torch.tensor([tokenizer.encode(prompt) or [tokenizer.end]]), tokens)
    click.echo(tokenizer.decode(ids[0].tolist()))
