"""`spamfilter decisions`: read the decision log, beside a running daemon or without one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.store.history import History, LoggedDecision

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[datetime]):
    """A time: ISO 8601 in local time, or how long ago: 30m, 2h, 7d, 4w."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if ago := re.fullmatch(r"(\d{1,6})([mhdw])", value):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            self.fail(f"{value!r} is no time: write 2h, 7d, 2026-01-31 or 2026-01-31T12:00", param, ctx)


@click.group()
def decisions() -> None:
    """List and show what was decided."""


@decisions.command("list")
@click.option("--since", type=Moment(), help="Decided at or after: 2h, 7d, 2026-01-31, 2026-01-31T12:00.")
@click.option("--until", type=Moment(), help="Decided before; written like --since.")
@click.option("--label", type=click.Choice(["ham", "unsure", "spam", "unscanned"]), help="With this label only.")
@click.option("--channel", help="Through this frontend only: smtp, folder.")
@click.option("--sender", help="With this text in the envelope sender.")
@click.option("--disposition", help="What became of it: delivered, rejected, pending...")
@click.option("--sha256", help="Of the message with these bytes.")
@click.option("--before", metavar="ID", help="The next page: older than this decision.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@with_config
def list_(sources: Sources, before: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List decisions, newest first."""
    from spamfilter.store.history import Filter

    with _history(sources) as history:
        found = history.page(Filter(**filters), limit=limit, before=before)
    if as_json:
        for decision in found:
            click.echo(json.dumps(decision.as_json()))
        return
    _print_table(found)
    if len(found) == limit:
        click.echo(f"older ones: --before {found[-1].id}")


@decisions.command()
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_config
def show(sources: Sources, id_: str, as_json: bool) -> None:
    """Show one decision with all that is known of it. The beginning of its ID is enough."""
    with _history(sources) as history:
        decision = history.get(id_)
    if as_json:
        click.echo(json.dumps(decision.as_json(), indent=2))
    else:
        _print_one(decision)


def _history(sources: Sources) -> History:
    from spamfilter.store.database import store_url
    from spamfilter.store.history import History

    config = sources.load()
    return History(store_url(config.store.url, config.state_dir))


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
