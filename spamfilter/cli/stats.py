"""`spamfilter stats`: what the mail of some days was like, and what was done with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.moments import Moment
from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.store.spans import Span, Spread
    from spamfilter.store.statistics import Corrections

_BAR = 40
_EDGES = (0.0, 0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0)
_LABELS = ("ham", "unsure", "spam", "unscanned")


@click.command()
@click.option("--since", type=Moment(), help="From that hour on: 24h, 7d, 2026-01-31 [default: 7d].")
@click.option("--until", type=Moment(), help="Until before that hour; written like --since.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_config
def stats(sources: Sources, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Count the mail of some days: verdicts, actions, failures, probabilities, times, corrections.

    Days, and the hours that --since and --until name, are of UTC. The exit code is 0, 1 when there was no mail, and 2
    when something is wrong.
    """
    from spamfilter.store.database import store_url
    from spamfilter.store.statistics import QUANTILES, Statistics

    config = sources.load()
    begins = since or datetime.now(UTC) - timedelta(days=7)
    with Statistics(store_url(config.store.url, config.state_dir)) as counted:
        total = counted.total(begins, until)
        days = counted.days(begins, until)
        spread = counted.probabilities(begins, until)
        latencies = counted.latencies(begins, until)
        corrections = counted.corrections(begins, until)
    if as_json:
        click.echo(json.dumps(_as_json(total, days, spread, latencies, corrections), indent=2))
    elif total.count == 0:
        click.echo("no mail in that time")
    else:
        _print(total, days, spread, latencies, QUANTILES, corrections)
    if total.count == 0:
        sys.exit(1)


def _print(
    total: Span,
    days: Sequence[Span],
    spread: Spread,
    latencies: Mapping[str, Sequence[float]],
    quantiles: Sequence[float],
    corrections: Corrections,
) -> None:
    from spamfilter.cli.terminal import console, plain, table

    out = console()
    out.print(f"{total.count} messages since {total.begins:%Y-%m-%d %H:%M} UTC")
    out.print(
        f"asked the GPT: {total.share(total.asked):.1%}, like a corrected message: {total.share(total.recalled):.1%}, "
        f"corrected: {corrections.spam} as spam, {corrections.ham} as ham"
    )
    for title, counts in (
        ("verdict", {name: total.labels.get(name, 0) for name in _LABELS}),
        ("action", total.actions),
        ("through", total.channels),
        ("not scanned, because", total.failures),
        ("model", total.models),
        ("corrected by", corrections.by_who),
    ):
        if counts:
            out.print(_bars(title, {plain(name): count for name, count in counts.items()}))
    out.print(_bars("day", {f"{day.begins:%Y-%m-%d}": day.count for day in days}))
    columns = [f"{low:g} to {high:g}" for low, high in pairwise(_EDGES)]
    out.print(_bars("probability", dict(zip(columns, spread.between(_EDGES), strict=True))))
    names = [f"{share:.0%}" for share in quantiles]
    times = table("milliseconds for", *names, right=tuple(names))
    for step, found in latencies.items():
        times.add_row(plain(step), *(f"{value:.3g}" for value in found))
    out.print(times)


def _bars(title: str, counts: Mapping[str, int]) -> Any:
    from rich.text import Text

    from spamfilter.cli.terminal import LABEL_STYLES, table

    most, whole = max(counts.values(), default=0) or 1, sum(counts.values()) or 1
    made = table(title, "messages", "share", "", right=("messages", "share"))
    for name, count in counts.items():
        bar = Text("█" * round(_BAR * count / most), style=LABEL_STYLES.get(name, "blue"))
        made.add_row(Text(name), f"{count}", f"{count / whole:.1%}", bar)
    return made


def _as_json(
    total: Span,
    days: Sequence[Span],
    spread: Spread,
    latencies: Mapping[str, Sequence[float]],
    corrections: Corrections,
) -> dict[str, Any]:
    return {
        **total.as_json(),
        "days": [day.as_json() for day in days],
        "probabilities": {"edges": _EDGES, "counts": spread.between(_EDGES)},
        "milliseconds": {step: list(found) for step, found in latencies.items()},
        "corrections": {
            "spam": corrections.spam,
            "ham": corrections.ham,
            "by_who": dict(corrections.by_who),
            "by_how": dict(corrections.by_how),
        },
    }
