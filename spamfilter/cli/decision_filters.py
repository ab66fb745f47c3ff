"""Which decisions: the options that `decisions list` and `decisions export` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spamfilter.cli.moments import Moment
from spamfilter.cli.options import Sources

if TYPE_CHECKING:
    from spamfilter.store.history import History

Command = TypeVar("Command", bound=Callable[..., Any])

_PROBABILITY = click.FloatRange(0.0, 1.0)
_OPTIONS = (
    click.option("--since", type=Moment(), help="Decided at or after: 2h, 7d, 2026-01-31, 2026-01-31T12:00."),
    click.option("--until", type=Moment(), help="Decided before; written like --since."),
    click.option("--label", type=click.Choice(["ham", "unsure", "spam", "unscanned"]), help="With this label only."),
    click.option("--action", help="With this action only: accept, tag, quarantine, reject, tempfail."),
    click.option("--channel", help="Through this frontend only: smtp, folder."),
    click.option("--sender", help="With this text in the envelope sender; <> is the null sender."),
    click.option("--recipient", help="With this text in a recipient."),
    click.option("--text", help="With this text in sender, recipients or peer, or at the beginning of the ID."),
    click.option("--least", type=_PROBABILITY, help="With this probability at least."),
    click.option("--most", type=_PROBABILITY, help="With this probability at most."),
    click.option("--model", "model_id", help="By this model only."),
    click.option("--disposition", help="What became of it: delivered, rejected, pending, released..."),
    click.option("--sha256", help="Of the message with these bytes."),
    click.option("--content", help="Of messages with this content hash, whatever was written on top of them."),
)


def with_filters(command: Command) -> Command:
    """Give a command the options; they arrive under the names of `history.Filter`'s fields."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def opened(sources: Sources) -> History:
    """The configured decision log, to be used as a context manager. Raises ConfigError, StoreError."""
    from spamfilter.store.database import store_url
    from spamfilter.store.history import History

    config = sources.load()
    return History(store_url(config.store.url, config.state_dir))
