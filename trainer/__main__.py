"""`python -m trainer`: the workflow, a command a step. Every step is resumable; a run's folder holds all of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

_DATA = click.option("--data-dir", type=click.Path(path_type=Path), help="Folder with the corpora.")
_RUN = click.option(
    "--run", type=click.Path(path_type=Path), default=Path("runs/default"), show_default=True, help="The run's folder."
)
_SET = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value of the recipe.")


@click.group()
def main() -> None:
    """Pretrain a GPT, fine-tune it to tell spam from ham, export the bundle that the daemon serves."""


@main.command()
@_DATA
@_RUN
def data(data_dir: Path | None, run: Path) -> None:
    """Extract the corpora once and count what came out."""
    table = _table(data_dir, run)
    click.echo(table.groupby(["source", "part", "spam"]).size().unstack(fill_value=0).to_string())


@main.command()
@_DATA
@_RUN
@_SET
def pretrain(data_dir: Path | None, run: Path, overrides: tuple[str, ...]) -> None:
    """Teach a GPT language from raw text (resumes where it stopped)."""
    from trainer.data.corpora import data_dir as find
    from trainer.recipes.pretrain import Pretrain
    from trainer.recipes.pretrain import pretrain as work
    from trainer.run import Run, load_recipe

    settings = load_recipe(Pretrain, "pretrain", _values(overrides))
    work(settings, Run.open(run / "pretrain", settings), _table(data_dir, run), find(data_dir))


@main.command()
@_DATA
@_RUN
@_SET
def finetune(data_dir: Path | None, run: Path, overrides: tuple[str, ...]) -> None:
    """Fine-tune the pretrained GPT to ham and spam; `--set leave_out=SOURCE` for a run that never sees a source."""
    from spamfilter.classifier.tokenizer import Tokenizer
    from trainer.assemble import load_finetuned
    from trainer.recipes.finetune import Finetune
    from trainer.recipes.finetune import finetune as work
    from trainer.run import Run, load_recipe

    settings = load_recipe(Finetune, "finetune", _values(overrides))
    folder = run / (f"leave-out-{settings.leave_out}" if settings.leave_out else "finetune")
    tokenizer = Tokenizer.load(run / "pretrain" / "tokenizer.tiktoken")
    model = load_finetuned(run / "pretrain", tokenizer, _network(run, tokenizer.vocab_size))
    work(settings, Run.open(folder, settings), _table(data_dir, run), model, tokenizer)


@main.command()
@_RUN
@click.option("--prompt", default="subject: ", show_default=True, help="How the text begins.")
@click.option("--tokens", default=120, show_default=True, help="How many tokens to write.")
@click.option("--seed", default=123, show_default=True)
def generate(run: Path, prompt: str, tokens: int, seed: int) -> None:
    """Let the pretrained GPT continue a text."""
    import torch

    from spamfilter.classifier.tokenizer import Tokenizer
    from trainer.assemble import load_finetuned

    tokenizer = Tokenizer.load(run / "pretrain" / "tokenizer.tiktoken")
    model = load_finetuned(run / "pretrain", tokenizer, _network(run, tokenizer.vocab_size))
    torch.manual_seed(seed)
    ids = model.generate(torch.tensor([tokenizer.encode(prompt) or [tokenizer.end]]), tokens)
    click.echo(tokenizer.decode(ids[0].tolist()))


@main.command()
@_DATA
@_RUN
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new bundle.")
@click.option("--name", default="default", show_default=True, help="First part of the model's id.")
@click.option("--int8/--fp32", default=True, show_default=True, help="Precision of the served matrices.")
def export(data_dir: Path | None, run: Path, out: Path, name: str, int8: bool) -> None:
    """Fit the linear stages, calibrate, measure on the fixed test, write the bundle."""
    from spamfilter.classifier.tokenizer import Tokenizer
    from trainer.assemble import assemble

    vocabulary = Tokenizer.load(run / "pretrain" / "tokenizer.tiktoken").vocab_size
    bundle = assemble(_table(data_dir, run), run, out, _network(run, vocabulary), name=name, int8=int8)
    click.echo(f"{bundle.model_id} written to {out}")


def _table(data_dir: Path | None, run: Path) -> Any:
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import prepare

    return prepare(find(data_dir), run / "data" / "prepared.jsonl")


def _network(run: Path, vocab_size: int) -> Any:
    import json

    from trainer.gpt import GPTConfig

    frozen = json.loads((run / "pretrain" / "settings.json").read_text())
    return GPTConfig(vocab_size, frozen["context"], frozen["layers"], frozen["heads"], frozen["channels"])


def _values(overrides: tuple[str, ...]) -> dict[str, Any]:
    import yaml

    values = {}
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals:
            raise click.UsageError(f"--set {item}: write it as KEY=VALUE")
        values[key] = yaml.safe_load(text)
    return values


if __name__ == "__main__":
    from trainer.data.corpora import DataError
    from trainer.run import RecipeError

    try:
        main()
    except (DataError, RecipeError) as error:
        sys.exit(f"error: {error}")
