"""`spamfilter drift`: does the mail still look like what the model was made for, and is a retraining due?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.drift import Drift, Reference
    from spamfilter.traits import Mix

_WIDTH = 40
_SINCE_DAYS = 365
_LANGUAGES = 3


@click.command(short_help="Say whether mail has changed since the training.")
@click.option("--days", type=click.IntRange(1, 90), default=14, show_default=True, help="Show so many days.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_config
def drift(sources: Sources, days: int, as_json: bool) -> None:
    """Compare the scores of the model in service, day by day, with those of its training.

    PSI says how differently they are distributed: below 0.1 alike, from 0.25 on very. A model that carries nothing of
    its training's scores is compared with the first 1,000 messages that it judged here.

    Of the sampled mail, "unknown" is the share of words that the model's training hardly met; of the languages the
    three most frequent are shown. Far from the training they are told, but no reason by themselves to retrain.

    The exit code is 0, also where a retraining is due (`due` of --json says so), and 2 when something is wrong.
    """
    from spamfilter.classifier.bundle import open_bundle
    from spamfilter.drift import scored, watched
    from spamfilter.operating_point import bundle_path
    from spamfilter.store.database import store_url
    from spamfilter.store.label_reader import LabelReader
    from spamfilter.store.samples import SampleReader

    config = sources.load()
    bundle = open_bundle(bundle_path(config))
    url = store_url(config.store.url, config.state_dir)
    since = datetime.now(UTC) - timedelta(days=_SINCE_DAYS)
    messages = scored(url, since)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        found = watched([], [], bundle.model_id, bundle.manifest)
    else:
        with LabelReader(url) as labels, SampleReader(url) as samples:
            sampled = samples.traits(since)
            found = watched(messages, labels.corrections(), bundle.model_id, bundle.manifest, sampled=sampled)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
        return
    _show(found, days)


def _show(found: Drift, days: int) -> None:
    from spamfilter.cli.terminal import console, plain, table

    out = console()
    names = ("messages", "unsure %", "corrected on 1,000", "unscanned", "spam %", "PSI", "unknown %")
    shown = table("day", *names, "languages %", right=names)
    for one in [*found.days[-days:], found.window]:
        last = one is found.window
        shown.add_row(
            f"last {one.days} days" if last else one.begin.isoformat(),
            str(one.messages),
            _number(one.unsure_share, 100, 1),
            _number(one.corrections_per_1000, 1, 1),
            str(one.unscanned),
            _number(one.spam_share, 100, 0),
            _number(one.psi, 1, 2),
            *_mix(one.mix),
        )
    if found.traits is not None:
        shown.add_row("training", *[""] * 6, *_mix(found.traits.mix))
    out.print(shown)
    if found.reference is not None and found.window.messages:
        for line in bars(found.window.histogram, found.window.spam_share, found.reference):
            out.print(line)
        out.print()
    out.print(plain(found.sentence))
    if found.traits is None:
        out.print("Languages and unknown share of the training: not in this bundle's snapshot.")


def bars(histogram: tuple[int, ...], spam_share: float | None, reference: Reference) -> list[str]:
    """Found and expected shares by probability, as lines of text."""
    from spamfilter.drift import EDGES

    total = sum(histogram)
    ham, spam = ([count / sum(some) for count in some] for some in (reference.ham, reference.spam))
    share = spam_share or 0.0
    lines = [f"{'probability':>11}  {'found':>6} {'expected':>8}"]
    for low, high, count, h, s in zip((0, *EDGES), (*EDGES, 1), histogram, ham, spam, strict=True):
        found, expected = count / total, (1 - share) * h + share * s
        bar = "#" * round(_WIDTH * found)
        mark = min(round(_WIDTH * expected), _WIDTH)
        drawn = f"{bar:<{_WIDTH + 1}}"
        figures = f"{low:>5g}-{high:<5g}  {100 * found:>5.1f}% {100 * expected:>7.1f}%"
        lines.append(f"{figures}  {drawn[:mark]}|{drawn[mark + 1 :]}".rstrip())
    return lines


def _mix(found: Mix) -> tuple[str, str]:
    """The unknown share and the three most frequent languages, for the table."""
    first = [*found.languages.items()][:_LANGUAGES]
    return _number(found.unknown, 100, 0), " ".join(f"{name} {100 * share:.0f}" for name, share in first)


def _number(value: float | None, factor: float, digits: int) -> str:
    return "" if value is None else f"{factor * value:.{digits}f}"
