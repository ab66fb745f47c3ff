"""The `spamfilter` command: one file a noun.

Modules here import nothing heavy before a command runs, so that `--help` and completion answer at once. Errors that
were made for people (configuration, bundle, store, start) are shown as one `error:` line, with exit code 2.
"""

from __future__ import annotations

import sys
from typing import IO, Any

import click

from spamfilter import __version__
from spamfilter.cli import (
    completion,
    config,
    console,
    decisions,
    doctor,
    drift,
    explain,
    labels,
    learn,
    model,
    retrain,
    scan,
    serve,
    shadow,
    stats,
    train,
)


class Refusal(click.ClickException):
    """An expected error, as one line."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.format_message()}", file=file or sys.stderr)


class _Commands(click.Group):
    """A group that turns the errors made for people into refusals; whatever else is raised is a bug, with its trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, _expected()):
                raise Refusal(str(error)) from None
            raise


def _expected() -> tuple[type[Exception], ...]:
    from spamfilter.classifier.bundle import BundleError
    from spamfilter.config import ConfigError
    from spamfilter.daemon import StartError
    from spamfilter.engine.pool import EngineError
    from spamfilter.state_dir import StateDirError
    from spamfilter.store.database import StoreError

    return (BundleError, ConfigError, EngineError, StartError, StateDirError, StoreError)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="spamfilter %(version)s")
def main() -> None:
    """The mail filter that learns on your own machine."""


model.model.add_command(shadow.shadow)
for _command in (
    serve.serve,
    scan.scan,
    explain.explain,
    decisions.decisions,
    stats.stats,
    learn.learn,
    labels.labels,
    console.console,
    config.config,
    model.model,
    retrain.retrain,
    drift.drift,
    train.train,
    doctor.doctor,
    completion.completion,
):
    main.add_command(_command)
