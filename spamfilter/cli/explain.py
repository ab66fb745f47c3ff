"""`spamfilter explain`: which words, links and header facts made a message's score, and what it would be without."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.classifier import Classifier
    from spamfilter.classifier.explanation import Explanation
    from spamfilter.message import Kind
    from spamfilter.policy import Policy


@click.command(short_help="Say why a message gets its score.")
@click.argument("files", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--json", "as_lines", is_flag=True, help="Print one JSON object a line, in the order of the files.")
@click.option("--kind", type=click.Choice(["mail", "text"]), help="What the files are [default: as each looks].")
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=1.5, show_default=True, help="Time for each file.")
@with_config
def explain(sources: Sources, files: tuple[str, ...], as_lines: bool, kind: str | None, seconds: float) -> None:
    """Say why each of FILES, or - for standard input, gets its score.

    What moved the score is given in log-odds: what speaks for spam is above 0, and everything adds up to the score.
    All stages are asked, also where `scan` would spare the GPT, so that probabilities may differ a little from its.
    The exit code is 0 when everything was explained, and 1 when something was not.
    """
    from spamfilter import classifier, log
    from spamfilter.classifier.bundle import open_bundle
    from spamfilter.message import Kind
    from spamfilter.operating_point import bundle_path, resolve_policy, serving_options

    config = sources.load()
    log.configure("warning", config.log.format)
    bundle = open_bundle(bundle_path(config))
    policy = resolve_policy(config.policy, bundle)
    model = classifier.load(bundle.path, **serving_options(config, policy))
    limit = config.engine.max_message_mib * 1024 * 1024
    failed = False
    for number, file in enumerate(files):
        started = time.perf_counter()
        found = _explained(model, file, Kind(kind) if kind else None, limit, seconds)
        failed = failed or isinstance(found, str)
        if as_lines:
            ms = (time.perf_counter() - started) * 1000
            click.echo(json.dumps(as_json(file, found, ms, policy, bundle.model_id)))
        else:
            _show(file, found, policy, first=number == 0)
    sys.exit(1 if failed else 0)


def _explained(model: Classifier, file: str, kind: Kind | None, limit: int, seconds: float) -> Explanation | str:
    """An explanation, or in words why there is none."""
    from dataclasses import replace

    from spamfilter.cli.outcomes import read_message
    from spamfilter.verdict import Failure

    message = read_message(file, limit)
    if isinstance(message, str):
        return message
    found = model.explain(message if kind is None else replace(message, kind=kind), seconds)
    return f"{found.kind}: {found.detail}" if isinstance(found, Failure) else found


def as_json(file: str, found: Explanation | str, ms: float, policy: Policy, model_id: str) -> dict[str, Any]:
    """One line of --json: that of `scan --jsonl`, and the explanation."""
    from spamfilter.cli import scan
    from spamfilter.cli.outcomes import Outcome

    if isinstance(found, str):
        return scan.as_json(Outcome(file, found, ms), policy, model_id)
    return {**scan.as_json(Outcome(file, found.score, ms), policy, model_id), "ms": round(ms, 3), **found.as_json()}


def _show(file: str, found: Explanation | str, policy: Policy, *, first: bool) -> None:
    from spamfilter.cli.explain_shown import show
    from spamfilter.cli.terminal import console, plain
    from spamfilter.policy import judge

    out = console()
    if not first:
        out.print()
    if isinstance(found, str):
        out.print(f"{plain(file)}: not explained: {plain(found)}", style="magenta")
    else:
        show(out, plain(file), found, judge(found.score, policy.thresholds))
