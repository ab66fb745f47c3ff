"""`spamfilter console audit`: who marked, released, activated or trained what, in the console or in a terminal."""

from __future__ import annotations

import json
import sys

import click

from spamfilter.cli.options import Sources, with_config

NOTHING_FOUND = 1


@click.command()
@click.option("--who", metavar="NAME", help="What this person did only.")
@click.option("--action", help="Deeds of this name only, such as decision.mark or model.activate.")
@click.option("--subject", metavar="ID", help="What was done to this decision, model or step only.")
@click.option("--before", type=click.IntRange(1), metavar="NUMBER", help="The next page: older than this row.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@with_config
def audit(
    sources: Sources, who: str | None, action: str | None, subject: str | None, before: int | None, limit: int,
    as_json: bool,
) -> None:  # fmt: skip
    """List who did what by hand, newest first.

    The exit code is 0, 1 when nothing was found, and 2 when something is wrong.
    """
    from spamfilter.cli.terminal import console, plain, table
    from spamfilter.store.audit import Audit
    from spamfilter.store.database import store_url

    config = sources.load()
    with Audit(store_url(config.store.url, config.state_dir)) as book:
        found = book.page(limit=limit, before=before, who=who, action=action, subject=subject)
    if as_json:
        for deed in found:
            click.echo(json.dumps(deed.as_json()))
    elif found:
        out = table("number", "time", "who", "role", "action", "subject", "detail", "from", right=("number",))
        for deed in found:
            words = (deed.who, deed.role, deed.action, deed.subject, deed.detail, deed.address)
            out.add_row(str(deed.number), f"{deed.time:%Y-%m-%d %H:%M:%S}", *(plain(word) for word in words))
        console().print(out)
        if len(found) == limit:
            click.echo(f"older ones: --before {found[-1].number}")
    else:
        click.echo("nobody did anything of that kind by hand", err=True)
    if not found:
        sys.exit(NOTHING_FOUND)
