"""`spamfilter doctor`: everything the daemon needs, looked at before it is missed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.cli.checks import Finding


@click.command(short_help="Check this machine and the configuration.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_config
def doctor(sources: Sources, as_json: bool) -> None:
    """Check this machine and the configuration; say what to do about each trouble. Exit code 1 when one is grave."""
    from spamfilter.cli.checks import Status, findings

    found = list(findings(sources))
    if as_json:
        click.echo(json.dumps([finding.as_json() for finding in found], indent=2))
    else:
        _print_table(found)
    sys.exit(1 if any(finding.status is Status.FAIL for finding in found) else 0)


def _print_table(found: list[Finding]) -> None:
    from rich.text import Text

    from spamfilter.cli.terminal import LABEL_STYLES, console, plain, table

    out = table("", "what", "found", "what to do")
    for one in found:
        style = LABEL_STYLES[one.status]
        out.add_row(Text(one.status, style=style), one.what, Text(plain(one.detail)), Text(plain(one.advice)))
    console().print(out)
