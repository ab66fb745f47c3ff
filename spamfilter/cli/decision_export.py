"""`spamfilter decisions export`: many decisions for another program, as CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from spamfilter.cli.decision_filters import opened, with_filters
from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.store.history import LoggedDecision

COLUMNS = (
    *("id", "time", "channel", "mail_from", "rcpt_tos", "peer", "size", "label", "probability", "action"),
    *("disposition", "disposition_detail", "failure", "model_id", "content", "sha256"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_STREAM = "-"


@click.command()
@click.argument("file", metavar="[FILE|-]", default=_STREAM)
@with_filters
@click.option("--csv", "form", flag_value="csv", help="As CSV with a line of names; text that a spreadsheet would "
              "take for a formula gets an apostrophe.")  # fmt: skip
@click.option(
    "--jsonl", "--json", "form", flag_value="jsonl", help="As one JSON object a line, with all that is known [default]."
)
@with_config
def export(sources: Sources, file: str, form: str | None, **filters: Any) -> None:
    """Write decisions to a new FILE, newest first; - is standard output.

    The exit code is 1 when there was nothing to write.
    """
    from spamfilter.store.history import Filter

    write = write_csv if form == "csv" else write_lines
    where = Filter(**filters)
    with opened(sources) as history, _output(file) as stream, _progress(lambda: history.count(where)) as advance:
        count = write(_counted(history.each(where), advance), stream)
    if file != _STREAM:
        click.echo(f"wrote {count} decisions to {file}")
    if count == 0:
        sys.exit(1)


def write_csv(decisions: Iterable[LoggedDecision], stream: IO[str]) -> int:
    """A line of names, and one for each decision (RFC 4180, but LF); how many."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for one in decisions:
        plain = one.as_json() | {"rcpt_tos": " ".join(one.rcpt_tos)}
        writer.writerow([_cell(plain[name]) for name in COLUMNS])
        count += 1
    return count


def write_lines(decisions: Iterable[LoggedDecision], stream: IO[str]) -> int:
    """A JSON object for each decision; how many."""
    count = 0
    for one in decisions:
        stream.write(json.dumps(one.as_json()) + "\n")
        count += 1
    return count


def _cell(value: Any) -> Any:
    """Strangers choose addresses: what a spreadsheet would calculate is made text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


@contextmanager
def _output(file: str) -> Iterator[IO[str]]:
    if file == _STREAM:
        yield sys.stdout
        return
    try:
        with Path(file).open("x", encoding="utf-8", newline="") as stream:
            yield stream
    except FileExistsError:
        raise click.UsageError(f"{file} is there already; name a new file") from None
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None


def _counted(decisions: Iterable[LoggedDecision], advance: Callable[[], None]) -> Iterator[LoggedDecision]:
    for one in decisions:
        yield one
        advance()


@contextmanager
def _progress(total: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """A bar on standard error where that is a terminal, and the decisions go elsewhere or to a file."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("exporting", total=total())
        yield lambda: progress.advance(task)
