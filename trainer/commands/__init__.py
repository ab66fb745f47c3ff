"""The trainer's commands, one file each; a file is imported only when its command runs, so that `--help` is quick."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

COMMANDS = {
    "data": "List, import, check and describe corpora.",
    "tokenizer": "Train a byte-level BPE, or show how one splits a text.",
    "pretrain": "Teach a GPT language from raw text (goes on where it stopped).",
    "distil": "Go on with a pretrained base: meaning, from a public sentence encoder (goes on where it stopped).",
    "generate": "Let a GPT continue a text.",
    "finetune": "Teach a pretrained GPT ham and spam, with all or few trained parameters.",
    "evaluate": "Measure a model on a labelled set beside its baselines; write figures, plots and a report.",
    "compare": "Run the experiments that compare: strategies, bases, sources left out, attacks.",
    "export": "Fit the linear stages, calibrate, measure, write the bundle that the daemon serves.",
    "retrain": "Retrain the model in service on what people corrected, and judge the candidate.",
    "reproduce": "Run the reference workflow from start to end and print claim beside result.",
}


class LazyGroup(click.Group):
    """A group whose commands live in `trainer.commands.NAME` as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"trainer.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        from trainer.errors import TrainerError

        try:
            return super().invoke(ctx)
        except TrainerError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Pretrain a GPT, fine-tune it to tell spam from ham, measure it, export the bundle that the daemon serves."""
