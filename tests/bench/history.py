"""What the pages and commands ask of a decision log of a month: milliseconds, and the index that answers.

    python -m tests.bench.history [--rows 1000000] [--times 7] [--keep FOLDER] [--json FILE]

The log is made in a scratch folder, or in FOLDER and then used again. Each question is asked once for nothing, so that
the figures are of a file that is in the machine's memory. What takes longer than 300 ms is marked.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from spamfilter.store.database import SQLITE_NAME, store_url
from spamfilter.store.history import Filter, History
from spamfilter.store.statistics import Statistics
from spamfilter.verdict import Thresholds
from tests.bench import million, report

Question = Callable[[], object]
LIMIT_MS = 300.0


def questions(history: History, statistics: Statistics) -> dict[str, Question]:
    """By name, everything that a page or a command asks."""
    month = datetime.now(UTC) - timedelta(days=30)
    week = datetime.now(UTC) - timedelta(days=7)
    deep = history.page(Filter(until=week), limit=1)[0]
    filters = {
        "newest": Filter(),
        "spam": Filter(label="spam"),
        "not scanned": Filter(label="unscanned"),
        "spam of a week, by SMTP": Filter(since=week, label="spam", channel="smtp"),
        "quarantined": Filter(disposition="quarantined"),
        "rejected (none)": Filter(disposition="rejected"),
        "the older model": Filter(model_id=million.MODELS[0]),
        "near the threshold": Filter(least=0.899, most=0.901),
        "common sender": Filter(sender="user1@"),
        "rare sender": Filter(sender="user49999@host19"),
        "sender never seen": Filter(sender="nobody@nowhere"),
        "sender, in every recipient": Filter(sender="@example.net"),
        "recipient": Filter(recipient="person7@"),
        "recipient never seen": Filter(recipient="nobody"),
        "text never seen": Filter(text="never-seen"),
        "text, ham, tagged, of a week": Filter(text="198.51.100.7", label="ham", action="tag", since=week),
        "beginning of an id": Filter(text=deep.id[:14]),
        "sha256": Filter(sha256=deep.sha256),
        "content": Filter(content=deep.content or ""),
    }
    asked: dict[str, Question] = {}
    for name, where in filters.items():
        asked[f"look: {name}"] = lambda where=where: history.look(where)
        asked[f"count: {name}"] = lambda where=where: history.count_some(where)
    return asked | {
        "look: a page of a week ago": lambda: history.look(before=deep.id),
        "look: text never seen, second look": lambda: history.look(Filter(text="never-seen"), before=deep.id),
        "get: by the beginning of an id": lambda: history.get(deep.id[:16]),
        "statistics: hours of a week": lambda: statistics.hours(week),
        "statistics: days of a month": lambda: statistics.days(month),
        "statistics: month in all": lambda: statistics.total(month),
        "statistics: thresholds over a month": lambda: statistics.probabilities(month).at(Thresholds(0.5, 0.9)),
        "statistics: latencies of a month": lambda: statistics.latencies(month),
        "statistics: models, channels": lambda: (statistics.models(), statistics.channels()),
        "statistics: corrections": lambda: statistics.corrections(month),
    }


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="decisions in the log")
    parser.add_argument("--times", type=int, default=7, help="how often each question is asked")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make the log there, or use the one there")
    options = parser.parse_args()
    where = report.setting()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        if not (folder / SQLITE_NAME).exists():
            folder.mkdir(parents=True, exist_ok=True)
            print(f"making a log of {options.rows:,} decisions", file=sys.stderr)
            million.fill(folder, options.rows)
        url = store_url("", folder)
        with History(url) as history, Statistics(url) as counted:
            found = [measure(name, ask, options.times) for name, ask in questions(history, counted).items()]
            rows = history.count()
    where |= {"rows": rows, "times": options.times}
    report.publish("Reading the decision log", where, _table(found), {"questions": found}, options.json)


def measure(name: str, ask: Question, times: int) -> dict[str, Any]:
    """Median and longest of so many answers in milliseconds, their processor time, and SQLite's plan."""
    with plans() as found:
        ask()
    took, worked = [], []
    for _ in range(times):
        started, cpu = time.perf_counter(), time.process_time()
        ask()
        took.append(1e3 * (time.perf_counter() - started))
        worked.append(1e3 * (time.process_time() - cpu))
    figures = {"median_ms": statistics.median(took), "max_ms": max(took), "cpu_ms": statistics.median(worked)}
    return {"question": name, **figures, "plan": found}


@contextmanager
def plans() -> Iterator[list[str]]:
    """How SQLite answers each SELECT that is executed within."""
    found: list[str] = []

    def executing(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            explained = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            found.extend(step for *_, step in explained if step not in found)

    event.listen(Engine, "before_cursor_execute", executing)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", executing)


def _table(found: list[dict[str, Any]]) -> Any:
    table = report.Table("question", "median ms", "max ms", "cpu ms", "plan", box=report.SIMPLE_HEAD)
    for one in found:
        slow = one["max_ms"] > LIMIT_MS
        table.add_row(
            one["question"],
            f"{one['median_ms']:.1f}",
            f"{one['max_ms']:.1f}{' !' if slow else ''}",
            f"{one['cpu_ms']:.1f}",
            "\n".join(one["plan"]),
        )
    return table


if __name__ == "__main__":
    main()
