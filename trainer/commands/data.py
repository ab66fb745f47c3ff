"""`data`: corpora, from files to a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainer.commands.options import data_option, run_option
from trainer.data.importers import FORMATS

if TYPE_CHECKING:
    from trainer.data.example import Example

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@data_option
@run_option
@json_option
@click.pass_context
def command(ctx: click.Context, data_dir: Path | None, run: Path, as_json: bool) -> None:
    """List, import, check and describe corpora; alone: extract them once and describe what came out."""
    if ctx.invoked_subcommand is None:
        _describe(data_dir, run, as_json, None)
        return
    given = {"data_dir": data_dir, "run": run, "as_json": as_json}
    ctx.default_map = {name: given for name in command.commands}  # `data --run X list` is `data list --run X`


@command.command("list")
@data_option
@run_option
@json_option
def list_command(data_dir: Path | None, run: Path, as_json: bool) -> None:
    """Show the corpora that are known and the ones that were imported."""
    from rich.console import Console
    from rich.table import Table

    from trainer.data import corpora, imported

    folder = corpora.data_dir(data_dir)
    labelled = {known.file: (name, known) for name, known in corpora.LABELLED_FILES.items()}
    rows = []
    for known in (*corpora.LABELLED_FILES.values(), *corpora.OTHER_FILES):
        name, corpus = labelled.get(known.file, ("", None))
        row = {"name": name, "file": known.file, "present": (folder / known.file).is_file()}
        row |= {"messages": corpus.messages, "spam": corpus.spam} if corpus else {}
        rows.append(row | {"about": known.about, "origin": known.origin, "licence": known.licence})
    reports = imported.reports(run)
    if as_json:
        _print_json({"folder": str(folder), "known": rows, "imported": reports})
        return
    click.echo(f"known, below {folder}")
    table = Table("name", "file", "there", "messages", "spam", box=None, pad_edge=False)
    for row in rows:
        counts = (f"{row[key]:,}" if key in row else "" for key in ("messages", "spam"))
        table.add_row(str(row["name"]), str(row["file"]), "yes" if row["present"] else "no", *counts)
    Console().print(table)
    click.echo("\nwhere from")
    for row in rows:
        click.echo(f"{row['file']}: {row['about']}; {row['licence']}; {row['origin']}")
    click.echo(f"\nimported, below {imported.folder_of(run)}" + ("" if reports else ": none"))
    for name, about in reports.items():
        click.echo(f"{name}: {_counts(about)}; from {about.get('path', '?')} as {about.get('format', '?')}")


_FORMATS_HELP = "\b\nFormats:\n" + "\n".join(f"  {name:<13} {known.summary}" for name, known in FORMATS.items())


@command.command("import", epilog=_FORMATS_HELP)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), required=True, help="See below.")
@click.option("--name", required=True, help="What the corpus is called; becomes the messages' source.")
@click.option("--label", type=click.Choice(["ham", "spam", "none"]), help="Of all messages (mbox, maildir, eml).")
@click.option("--text-column", default="text", show_default=True, help="Of csv and jsonl.")
@click.option("--label-column", default="label", show_default=True, help="Of csv and jsonl.")
@click.option("--id-column", help="Of csv and jsonl; names a message instead of file and line.")
@click.option("--index", help="The index's path within PATH (trec, label-index).")
@click.option("--one-is", type=click.Choice(["ham", "spam"]), help="What 1 means (label-index).")
@click.option("--strict", is_flag=True, help="Stop at the first bad row, and import nothing.")
@run_option
@json_option
def import_command(
    path: Path, format_name: str, name: str, run: Path, strict: bool, as_json: bool, **options: Any
) -> None:
    """Read the corpus at PATH (a folder, a file, or a tar archive) into the run's data."""
    from rich.console import Console

    from trainer.data import corpora, imported
    from trainer.data.importers import Options, Report, examples

    imported.check_name(name, corpora.LABELLED_FILES)
    report = Report(strict=strict)
    read = _with_progress(examples(path, format_name, Options(name, **options), report), f"importing {name}")
    kept = imported.save(run, name, read, report, path=str(path.resolve()), format=format_name)
    if as_json:
        _print_json({"name": name, "file": str(kept), **report.as_dict()})
        return
    Console(soft_wrap=True).print(report)
    click.echo(f"kept in {kept}; the next extraction takes it in")


@command.command("check")
@data_option
@run_option
@json_option
@click.pass_context
def check_command(ctx: click.Context, data_dir: Path | None, run: Path, as_json: bool) -> None:
    """Compare the known files with their sums, read every corpus, show what is bad. Exit 1 when something is."""
    from rich.console import Console

    from trainer.data import corpora, imported

    folder = corpora.data_dir(data_dir)
    states = {}
    for known in _tracked([*corpora.LABELLED_FILES.values(), *corpora.OTHER_FILES], "sums"):
        states[known.file] = corpora.state_of(folder, known)
    reports = {}
    for name, corpus in corpora.LABELLED_FILES.items():
        if states[corpus.file] != "missing":
            reports[name] = _reading(folder, name)
    faults = [f"{file}: {state}" for file, state in states.items() if state != "good"]
    faults += [fault for name, report in reports.items() for fault in _faults(name, report)]
    brought = imported.reports(run)
    if as_json:
        _print_json({"folder": str(folder), "files": states, "read": reports, "imported": brought, "faults": faults})
    else:
        for file, state in states.items():
            click.echo(f"{state:<8} {file}")
        for name, about in {**reports, **brought}.items():
            Console(soft_wrap=True).print(f"{name}: {_counts(about)}", *_bad_lines(about), sep="\n", markup=False)
    if any(not fault.endswith(": missing") for fault in faults):
        ctx.exit(1)


@command.command("describe")
@data_option
@run_option
@json_option
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw it into a file (.png, .svg, .pdf).")
def describe_command(data_dir: Path | None, run: Path, as_json: bool, picture: Path | None) -> None:
    """Count sources, parts and labels, near-duplicates, lengths; extracts first where that is still to be done."""
    _describe(data_dir, run, as_json, picture)


def _describe(data_dir: Path | None, run: Path, as_json: bool, picture: Path | None) -> None:
    from rich.console import Console

    from trainer.data.description import describe, plot, rendered
    from trainer.data.prepared import table_of

    table = table_of(data_dir, run)
    found = describe(table)
    if picture is not None:
        plot(table, picture)
    if as_json:
        _print_json(found)
    else:
        Console(soft_wrap=True).print(rendered(found))


def _reading(folder: Path, name: str) -> dict[str, Any]:
    from trainer.data import corpora
    from trainer.data.importers import Report
    from trainer.errors import DataError

    report = Report()
    try:
        for _ in _with_progress(corpora.read(folder, name, report), f"reading {name}"):
            pass
    except DataError as error:
        return {**report.as_dict(), "error": str(error)}
    return report.as_dict()


def _faults(name: str, report: dict[str, Any]) -> Iterator[str]:
    from trainer.data.corpora import LABELLED_FILES

    known = LABELLED_FILES[name]
    if "error" in report:
        yield f"{name}: {report['error']}"
    elif report["bad"]:
        yield f"{name}: {report['bad']} bad"
    elif (report["rows"], report["spam"]) != (known.messages, known.spam):
        yield f"{name}: {report['rows']} messages, {report['spam']} spam; {known.messages}, {known.spam} are known"


def _counts(about: dict[str, Any]) -> str:
    return ", ".join(f"{about.get(key, 0):,} {key}" for key in ("ham", "spam", "unlabelled", "bad"))


def _bad_lines(about: dict[str, Any]) -> list[str]:
    bad = (f"  {row['place']}: {row['reason']}: {row['detail']}".rstrip(": ") for row in about.get("first_bad", ()))
    return [*bad, *([f"  {about['error']}"] if "error" in about else [])]


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _tracked(things: Iterable[Any], title: str) -> Iterable[Any]:
    from rich.console import Console
    from rich.progress import track

    return track(things, title, console=Console(stderr=True), transient=True)


def _with_progress(examples: Iterable[Example], title: str) -> Iterator[Example]:
    """The same examples, counted on stderr while they pass."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:,} messages"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=None)
        for example in examples:
            yield example
            progress.advance(bar)
