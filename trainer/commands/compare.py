"""`compare`: experiments that set things side by side; each lives in `trainer.experiments.NAME`."""

from __future__ import annotations

from importlib import import_module

import click

EXPERIMENTS = {
    "sources": "Leave each source out of training and judge on it, beside every baseline.",
    "strategies": "Each fine-tuning strategy: trained parameters, minutes, accuracy.",
    "bases": "The same fine-tuning from random weights, from The Verdict and from the mail corpora.",
    "evasion": "Recall under each attack, beside the linear SVM under the same.",
    "feedback": "How fast a site's mail is learnt from corrections, beside bogofilter and naive Bayes.",
    "stream": "A site's mail one after another, each judged and then corrected, beside bogofilter.",
    "poison": "What wrong corrections cost, and whether a gate would have stopped them.",
    "networks": "How much of the network is to learn from corrections: head, last block, or adapters.",
    "sms": "The SMS collection: the reference protocol over six seeds, and five grouped folds.",
}


class Experiments(click.Group):
    """Lazily imported: `trainer.experiments.NAME.command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(EXPERIMENTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in EXPERIMENTS:
            return None
        found: click.Command = import_module(f"trainer.experiments.{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Experiments"):
            formatter.write_dl(list(EXPERIMENTS.items()))


@click.group(cls=Experiments)
def command() -> None:
    """Run the experiments that compare: strategies, bases, sources left out, attacks, corrections."""
