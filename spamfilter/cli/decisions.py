"""`spamfilter decisions`: read the decision log and act on it, beside a running daemon or without one."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.decision_acts import delete, mark, release
from spamfilter.cli.decision_export import export, write_csv
from spamfilter.cli.decision_filters import opened, with_filters
from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.store.history import LoggedDecision

NOTHING_FOUND = 1


@click.group()
def decisions() -> None:
    """List, show, export, correct and release what was decided.

    The exit code is 0, 1 when nothing was found, and 2 when something is wrong.
    """


for _command in (export, mark, release, delete):
    decisions.add_command(_command)


@decisions.command("list")
@with_filters
@click.option("--before", metavar="ID", help="The next page: older than this decision.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "form", flag_value="json", help="Print one JSON object a line.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV with a line of names.")
@with_config
def list_(sources: Sources, before: str | None, limit: int, form: str | None, **filters: Any) -> None:
    """List decisions, newest first."""
    from spamfilter.store.history import Filter

    with opened(sources) as history:
        found = history.page(Filter(**filters), limit=limit, before=before)
    if form == "json":
        for decision in found:
            click.echo(json.dumps(decision.as_json()))
    elif form == "csv":
        write_csv(found, sys.stdout)
    else:
        _print_table(found)
        if len(found) == limit:
            click.echo(f"older ones: --before {found[-1].id}")
    if not found:
        sys.exit(NOTHING_FOUND)


@decisions.command()
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_config
def show(sources: Sources, id_: str, as_json: bool) -> None:
    """Show one decision with all that is known of it. The beginning of its ID is enough."""
    with opened(sources) as history:
        decision = history.get(id_)
    if as_json:
        click.echo(json.dumps(decision.as_json(), indent=2))
    else:
        _print_one(decision)


def _print_table(found: list[LoggedDecision]) -> None:
    from rich.text import Text

    from spamfilter.cli.terminal import LABEL_STYLES, console, plain, table

    if not found:
        click.echo("no decisions found")
        return
    out = table("id", "time", "through", "from", "to", "verdict", "prob.", "action", "then", right=("prob.",))
    for one in found:
        more = f" +{len(one.rcpt_tos) - 1}" if len(one.rcpt_tos) > 1 else ""
        label = one.label or f"unscanned: {one.failure}"
        out.add_row(
            one.id,
            f"{one.time.astimezone():%Y-%m-%d %H:%M:%S}",
            one.channel,
            Text(_sender(one)),
            Text(plain(one.rcpt_tos[0]) + more if one.rcpt_tos else ""),
            Text(label, style=LABEL_STYLES.get(label, "magenta")),
            "" if one.probability is None else f"{one.probability:.4f}",
            one.action,
            one.disposition,
        )
    console().print(out)


def _print_one(one: LoggedDecision) -> None:
    from spamfilter.cli.terminal import console, plain, table

    verdict = f"not scanned: {one.failure} ({plain(one.failure_detail)})"
    if one.label is not None:
        verdict = f"{one.label}, probability {one.probability:.4f}"
        if one.unsure_at is not None and one.spam_at is not None:
            verdict += f" (unsure from {one.unsure_at:.4f}, spam from {one.spam_at:.4f})"
    settled = f" at {one.settled.astimezone():%H:%M:%S}" if one.settled else ""
    detail = f": {plain(one.disposition_detail)}" if one.disposition_detail else ""
    lines = {
        "id": one.id,
        "time": one.time.astimezone().isoformat(sep=" ", timespec="milliseconds"),
        "through": one.channel,
        "from": _sender(one),
        "to": ", ".join(plain(to) for to in one.rcpt_tos),
        "peer": plain(one.peer),
        "size": f"{one.size} bytes",
        "sha256": one.sha256,
        "verdict": verdict,
        "stages": ", ".join(f"{name} {value:.4f}" for name, value in one.stages.items() if name != "memory"),
        **_recalled(one),
        "model": plain(one.model_id),
        "took": ", ".join(f"{name} {value:.1f} ms" for name, value in one.timings.items()),
        "action": one.action,
        "then": f"{one.disposition}{settled}{detail}",
    }
    out = table("", "")
    out.show_header = False
    for name, value in lines.items():
        out.add_row(name, value)
    console().print(out)


def _recalled(one: LoggedDecision) -> dict[str, str]:
    """A line about the corrected message that this one was like, if it was."""
    if "memory" not in one.stages:
        return {}
    label = "spam" if one.stages["memory"] >= 0.5 else "ham"
    recalled = one.recalled
    if not recalled:
        return {"recalled": f"like a message marked {label}"}
    when = datetime.fromtimestamp(recalled["time"], UTC).astimezone()
    return {"recalled": f"like a message marked {label} on {when:%Y-%m-%d} ({recalled['similarity']:.0%} alike)"}


def _sender(one: LoggedDecision) -> str:
    from spamfilter.cli.terminal import plain

    return "<>" if one.mail_from == "" else plain(one.mail_from)
