"""`spamfilter scan`: score files, folders or standard input, for people, for programs, or as a filter in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from spamfilter.cli.outcomes import Outcome
    from spamfilter.config import Config
    from spamfilter.policy import Policy


@click.command(short_help="Score files, folders or standard input.")
@click.argument("paths", nargs=-1, type=click.UNPROCESSED)
@click.option("--jsonl", is_flag=True, help="Print one JSON object a line, in the order of the paths.")
@click.option("--files-from", metavar="LIST", help="Read the paths from LIST, one a line; - is standard input.")
@click.option("--pipe", is_flag=True, help="Copy the message from standard input to standard output, with headers.")
@click.option("--fail-exit", is_flag=True, help="With --pipe: when scanning fails, write nothing and exit with 75.")
@click.option("--report", is_flag=True, help="With --pipe: also write X-Spam-Report, what moved the score.")
@click.option("--batch", type=click.IntRange(1, 256), default=16, show_default=True, help="Messages scored at once.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Score in so many worker processes instead of this one.")
@with_config
def scan(
    sources: Sources,
    paths: tuple[str, ...],
    jsonl: bool,
    files_from: str | None,
    pipe: bool,
    fail_exit: bool,
    report: bool,
    batch: int,
    jobs: int | None,
) -> None:
    """Score the mails in PATHS: files, folders and Maildirs, or - for standard input.

    With --pipe the message comes out marked, or marked as unscanned whatever goes wrong, and the exit code is 0: made
    for procmail, maildrop and Sieve's filter. Otherwise the exit code is 0 when everything was scanned, and 1 when
    something was not.
    """
    if pipe:
        if jsonl or files_from or jobs or paths not in ((), ("-",)):
            raise click.UsageError("--pipe reads one message from standard input; leave out what else is given")
        from spamfilter.cli.pipe import run

        sys.exit(run(sources, fail_exit=fail_exit, report=report))
    if fail_exit or report:
        raise click.UsageError(f"{'--fail-exit' if fail_exit else '--report'} goes with --pipe")
    if bool(paths) == bool(files_from):
        raise click.UsageError("give PATHS, or --files-from LIST, or - for standard input" if not paths else
                               "give PATHS or --files-from, not both")  # fmt: skip
    if files_from not in (None, "-") and not Path(str(files_from)).is_file():
        raise click.UsageError(f"--files-from {files_from}: no such file")
    sys.exit(0 if _scan(sources.load(), paths, files_from, jsonl=jsonl, batch=batch, jobs=jobs) else 1)


def _scan(
    config: Config, paths: tuple[str, ...], files_from: str | None, *, jsonl: bool, batch: int, jobs: int | None
) -> bool:
    """True when everything was scanned."""
    from spamfilter import log
    from spamfilter.classifier.bundle import open_bundle
    from spamfilter.cli.outcomes import listed, mail_files
    from spamfilter.operating_point import bundle_path, resolve_policy, serving_options

    log.configure("warning", config.log.format)
    bundle = open_bundle(bundle_path(config))
    policy = resolve_policy(config.policy, bundle)
    given: Iterable[str] = listed(files_from) if files_from else paths
    if not jsonl:
        given = mail_files(given)
    failed = False
    rows: list[Outcome] = []

    def emit(outcome: Outcome) -> None:
        nonlocal failed
        failed = failed or isinstance(outcome.result, str)
        if jsonl:
            click.echo(json.dumps(as_json(outcome, policy, bundle.model_id)))
        else:
            rows.append(outcome)

    total = len(paths) if jsonl and paths else None
    with _progress(total) as advance:

        def seen(outcome: Outcome) -> None:
            emit(outcome)
            advance()

        options = serving_options(config, policy)
        _run(config, bundle.path, options, given, seen, batch=batch, jobs=jobs)
    if not jsonl:
        _print_table(rows, policy)
    return not failed


def _run(
    config: Config, bundle: Path, options: dict[str, Any], paths: Iterable[str], emit: Callable[[Outcome], None], *,
    batch: int, jobs: int | None,
) -> None:  # fmt: skip
    from spamfilter import classifier
    from spamfilter.cli.outcomes import scan_here, scan_over
    from spamfilter.config import MIB

    limit = config.engine.max_message_mib * MIB
    if jobs is None:
        scan_here(paths, classifier.load(bundle, **options), batch=batch, limit=limit, emit=emit)
        return

    import asyncio

    from spamfilter.engine.pool import EnginePool

    window = 2 * jobs * batch
    settings = config.engine.model_copy(
        update={"workers": jobs, "batch": batch, "queue_messages": max(window, config.engine.queue_messages)}
    )

    async def pooled() -> None:
        pool = EnginePool(settings, bundle, options=options)
        await pool.start()
        try:
            await scan_over(pool, paths, window=window, limit=limit, emit=emit)
        finally:
            await pool.stop(0.0)

    asyncio.run(pooled())


def as_json(outcome: Outcome, policy: Policy, model_id: str) -> dict[str, Any]:
    """One line of --jsonl. `probability` and `verdict` are null where there is an `error`."""
    from spamfilter.policy import judge

    line: dict[str, Any] = {"path": outcome.path, "probability": None, "verdict": None, "scores": {}, "model": model_id}
    if isinstance(outcome.result, str):
        return {**line, "ms": round(outcome.ms, 3), "error": outcome.result}
    score = outcome.result
    line["probability"] = score.probability
    line["verdict"] = judge(score, policy.thresholds).label.value
    line["scores"] = dict(score.stages)
    line["model"] = score.model_id
    if (recalled := score.recalled) is not None:
        line["recalled"] = {"label": recalled.label.value, "time": recalled.time, "similarity": recalled.similarity}
    line["ms"] = round(outcome.ms, 3)
    return line


def _print_table(rows: list[Outcome], policy: Policy) -> None:
    from rich.text import Text

    from spamfilter.cli.terminal import LABEL_STYLES, console, plain, table
    from spamfilter.policy import judge

    out = table("path", "verdict", "prob.", "stages", "ms", right=("prob.", "ms"))
    for row in rows:
        if isinstance(row.result, str):
            cells = (Text("not scanned", style="magenta"), "", Text(plain(row.result)))
        else:
            label = judge(row.result, policy.thresholds).label.value
            stages = "  ".join(f"{name} {value:.3f}" for name, value in row.result.stages.items() if name != "memory")
            if (recalled := row.result.recalled) is not None:
                stages += f"  like a marked {recalled.label} {recalled.similarity:.2f}"
            cells = (Text(label, style=LABEL_STYLES[label]), f"{row.result.probability:.4f}", Text(stages))
        out.add_row(Text(plain(row.path)), *cells, f"{row.ms:.1f}")
    console().print(out)


def _progress(total: int | None) -> AbstractContextManager[Callable[[], None]]:
    """A bar on standard error while standard output goes elsewhere; nothing when nobody would see it well."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        return nullcontext(lambda: None)
    return _bar(total)


def _bar(total: int | None) -> AbstractContextManager[Callable[[], None]]:
    from collections.abc import Iterator
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    @contextmanager
    def shown() -> Iterator[Callable[[], None]]:
        columns = (TextColumn("scanning"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("scanning", total=total)
            yield lambda: progress.advance(task)

    return shown()
