"""`generate`: what a GPT has learnt to write."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import run_option


@click.command()
@run_option
@click.option("--base", default="", help="Another base: a pretraining's folder, `random`, or `gpt2:PATH-OR-ID`.")
@click.option("--prompt", default="subject: ", show_default=True, help="How the text begins.")
@click.option("--tokens", default=120, show_default=True, help="How many tokens to write.")
@click.option("--temperature", default=0.8, show_default=True, help="0 always takes the likeliest token.")
@click.option("--top-k", default=40, show_default=True, help="Draw from so many of the likeliest tokens.")
@click.option("--seed", default=123, show_default=True, help="Seed of the sampling.")
def command(run: Path, base: str, prompt: str, tokens: int, temperature: float, top_k: int, seed: int) -> None:
    """Let a GPT continue a text."""
    import torch

    from trainer.base import named_base

    # not the distilled base: it has learnt to tell texts apart, and has unlearnt to write them
    start = named_base(base or str(run / "pretrain"), run)
    torch.manual_seed(seed)
    ids = torch.tensor([start.tokenizer.encode(prompt) or [start.tokenizer.end]])
    found = start.network().generate(ids, tokens, temperature=temperature, top_k=top_k)
    click.echo(start.tokenizer.decode(found[0].tolist()))
