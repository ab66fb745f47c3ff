"""How a benchmark speaks: the machine it ran on, a table for people, the same figures as JSON."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from spamfilter import __version__
from spamfilter.classifier.bundle import default_bundle, open_bundle

_PACKAGES = ("onnxruntime", "numpy", "tiktoken", "aiosmtpd")
_FIRST_LINE = ("time", "cpu", "cores", "load_at_start", "python")


def arguments(about: str | None) -> argparse.ArgumentParser:
    """A parser with what all benchmarks take."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, not to standard output")
    return parser


def progress(what: str) -> Progress:
    """A progress bar on standard error."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def setting(*packages: str) -> dict[str, Any]:
    """Where and with what: processor, cores, load, versions (of further packages, too), model."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "spamfilter": __version__,
        "model": open_bundle(default_bundle()).model_id,
        **{name: _version(name) for name in (*_PACKAGES, *packages)},
        "postfix": _postfix(),
    }


def publish(
    title: str, where: dict[str, Any], tables: Table | Sequence[Table], figures: dict[str, Any], to: Path | None
) -> None:
    """Print the tables with their machine line, and the JSON, or write that to a file."""
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    out.print(f"[bold]{title}[/bold]")
    out.print("{cpu}, {cores} cores, Python {python}, load {load_at_start} at the start".format_map(where))
    out.print(", ".join(f"{name} {value}" for name, value in where.items() if name not in _FIRST_LINE))
    if where["load_at_start"] > 0.5 * where["cores"]:
        out.print("[yellow]others were at work on this machine: figures of speed are too low[/yellow]")
    for each in [tables] if isinstance(tables, Table) else tables:
        out.print(each)
    text = json.dumps({"benchmark": title, "setting": where, **figures}, indent=1, ensure_ascii=False) + "\n"
    if to is None:
        sys.stdout.write(text)
    else:
        to.write_text(text, "utf-8")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """The first column is text, the others are numbers."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def program(name: str, package: str) -> str:
    """The path of a system program. Exits with what to install when it is not there."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if path is None:
        sys.exit(f"no {name}: apt-get install {package}")
    return path


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _postfix() -> str:
    path = shutil.which("postconf", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        return "none"
    done = subprocess.run([path, "-d", "-h", "mail_version"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "none"
