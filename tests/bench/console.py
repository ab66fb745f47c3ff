"""How long the console's server takes for each page before a log of a month, and which index answers each search.

    python -m tests.bench.console [--log FOLDER] [--rows 1000000] [--times 7] [--json FILE]

The log is made in a scratch folder, or in FOLDER (a `state_dir`) and then used again. The console is the one of
`spamfilter serve` with the default model. A time is that of a request over one kept connection on loopback, from its
first byte to the answer's last one; of a stream, to its first event or line. Each page is asked for once for nothing,
and the overview only when its figures have to be read anew. `cpu ms` is the processor time of the daemon and
its workers: what the page would take on a machine without other work. What takes longer than 300 ms is marked.
"""

from __future__ import annotations

import smtplib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx

from spamfilter.console.decision_query import Query
from spamfilter.console.pages.decisions import ROWS
from spamfilter.console.pulse import DAYS_FRESH_S, FRESH_S
from spamfilter.store.database import SQLITE_NAME, store_url
from spamfilter.store.history import History
from tests.__main__ import ROOT
from tests.bench import million, report
from tests.bench.history import LIMIT_MS, plans
from tests.e2e.daemon import ServedDaemon

_EXPORT_S = 5.0
_SETTINGS = {"store": {"retention_days": 0, "keep_days": 1}, "policy": {"actions": {"spam": "quarantine"}}}


class Asked(NamedTuple):
    """A request: the page, what of it, its address, seconds to wait before it, whether its answer goes on and on."""

    page: str
    what: str
    address: str
    wait_s: float = 0.0
    streams: bool = False


def requests(history: History, kept: str) -> list[Asked]:
    """Every page, and every kind of search of the decisions. `kept` is the id of one whose message is at hand."""
    week = datetime.now(UTC) - timedelta(days=7)
    deep = history.look(before=history.page(limit=1)[0].id).decisions[-1]
    fresh = {"24h": FRESH_S, "7d": DAYS_FRESH_S, "30d": DAYS_FRESH_S}
    searches = {
        "newest": {},
        "last hour": {"period": "1h"},
        "until a week ago": {"until": week.strftime("%Y-%m-%dT%H:%M")},
        "spam": {"verdict": "spam"},
        "unscanned": {"verdict": "unscanned"},
        "quarantined": {"disposition": "quarantined"},
        "rejected (none)": {"disposition": "rejected"},
        "of the older model": {"model": million.MODELS[0]},
        "from a folder, unsure, of a week": {"channel": "folder", "verdict": "unsure", "period": "7d"},
        "sender, many": {"sender": "user1@"},
        "sender, few": {"sender": "user49999@"},
        "sender, none": {"sender": "nobody@nowhere"},
        "recipient, many": {"recipient": "person7@"},
        "recipient, none": {"recipient": "nobody"},
        "text, many": {"q": "example.org"},
        "text, few": {"q": "198.51.100.7"},
        "text, none": {"q": "never-seen"},
        "text, none, of 30 days, spam": {"q": "never-seen", "period": "30d", "verdict": "spam"},
        "beginning of an id": {"q": deep.id[:14]},
        "older": {"before": deep.id},
        "older, text, none": {"before": deep.id, "q": "never-seen"},
    }
    decisions = [Asked("decisions", name, f"/decisions?{urlencode(asked)}") for name, asked in searches.items()]
    export = [
        Asked("export", f"{name}, first line", f"/decisions/export.csv?{urlencode(asked)}", streams=True)
        for name, asked in {"all": {}, "spam of 7 days": {"period": "7d", "verdict": "spam"}}.items()
    ]
    plain = ("thresholds", "thresholds/answer?spam=3&unsure=5", "models", "training", "training/live")
    return [
        *(Asked("overview", period, f"/?period={period}", wait) for period, wait in fresh.items()),
        *(
            Asked("overview", f"{period}, first event", f"/overview/events?period={period}", wait, streams=True)
            for period, wait in fresh.items()
        ),
        *decisions,
        Asked("decision", "not kept", f"/decisions/{deep.id}"),
        Asked("decision", "kept", f"/decisions/{kept}"),
        Asked("decision", "why: the model reads it again", f"/decisions/{kept}/why"),
        *export,
        *(Asked(name.partition("?")[0], "", f"/{name}") for name in (*plain, "try", "account", "keys")),
        Asked("model", "in service", "/models/of/default"),
    ]


def measure(client: httpx.Client, daemon: ServedDaemon, asked: Asked, times: int) -> dict[str, Any]:
    """Median and longest answer in milliseconds, the daemon's processor time, KB of an answer."""
    took, worked = [], []
    for number in range(times + 1):
        time.sleep(asked.wait_s + 0.1 if asked.wait_s else 0.0)
        cpu, started = _cpu_s(daemon), time.perf_counter()
        size = _first(client, asked.address) if asked.streams else _whole(client, asked.address)
        if number:
            took.append(1e3 * (time.perf_counter() - started))
            worked.append(1e3 * (_cpu_s(daemon) - cpu))
    return {
        "page": asked.page,
        "query": asked.what,
        "median_ms": statistics.median(took),
        "max_ms": max(took),
        "cpu_ms": statistics.mean(worked),
        "kb": size / 1000,
    }


def _whole(client: httpx.Client, address: str) -> int:
    return len(client.get(address).raise_for_status().content)


def _first(client: httpx.Client, address: str) -> int:
    """Read to the end of the first line, and hang up."""
    with client.stream("GET", address) as answer:
        return len(next(answer.raise_for_status().iter_lines()))


def _cpu_s(daemon: ServedDaemon) -> float:
    used = [process.cpu_times() for process in daemon.processes()]
    return sum(one.user + one.system for one in used)


def export_rate(client: httpx.Client) -> float:
    """Rows a second of the whole log as CSV, over the first seconds of it."""
    started, lines = time.perf_counter(), 0
    with client.stream("GET", "/decisions/export.csv") as answer:
        for text in answer.raise_for_status().iter_text():
            lines += text.count("\n")
            if time.perf_counter() - started > _EXPORT_S:
                break
    return lines / (time.perf_counter() - started)


def searched(history: History, asked: Asked) -> list[str]:
    """SQLite's plan for the list of decisions at an address."""
    query = Query.read(httpx.URL(asked.address).params)
    with plans() as found:
        history.look(query.filter(), limit=ROWS, before=query.before or None)
    return found


@contextmanager
def signed_in(pages: str) -> Iterator[httpx.Client]:
    """Somebody who opened the sign-in link, on one connection that is kept."""
    url = httpx.URL(pages)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    with httpx.Client(base_url=url.copy_with(raw_path=b"/"), timeout=60, limits=limits) as client:
        client.get(url.raw_path.decode(), follow_redirects=True).raise_for_status()
        yield client


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """The figures as lines of Markdown."""
    yield "| page | query | median ms | longest ms | cpu ms | KB | index |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for one in found:
        slow = " !" if one["max_ms"] > LIMIT_MS else ""
        figures = f"{one['median_ms']:.0f} | {one['max_ms']:.0f}{slow} | {one['cpu_ms']:.0f} | {one['kb']:.1f}"
        yield f"| {one['page']} | {one['query']} | {figures} | {'; '.join(one['plan'])} |"


def served(scratch: Path, log: Path, times: int) -> tuple[list[dict[str, Any]], float, int]:
    """The figures of every page before the log, rows a second of the export, and decisions in the log."""
    daemon = ServedDaemon(scratch / "daemon", _SETTINGS)
    daemon.state_dir = log
    with daemon, History(store_url("", log)) as history:
        daemon.start()
        newest = _sent(daemon, history)
        with signed_in(daemon.pages) as client:
            found = []
            with report.progress("asking") as bar:
                for asked in bar.track(requests(history, newest)):
                    plan = searched(history, asked) if asked.page == "decisions" else []
                    found.append({**measure(client, daemon, asked, times), "plan": plan})
            rate = export_rate(client)
        daemon.stop()
        return found, rate, history.count()


def _sent(daemon: ServedDaemon, history: History) -> str:
    """The id of one mail more, which is kept, as soon as it is in the log."""
    before = history.page(limit=1)[0].id
    raw = (ROOT / "examples" / "messages" / "spam-phishing.eml").read_text("utf-8")
    with smtplib.SMTP("127.0.0.1", daemon.port) as smtp:
        smtp.sendmail("ann@example.org", ["me@here.example"], raw.encode().replace(b"\n", b"\r\n"))
    while (newest := history.page(limit=1)[0].id) == before:
        time.sleep(0.02)
    return newest


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("--log", type=Path, metavar="FOLDER", help="make the log there, or use the one there")
    parser.add_argument("--rows", type=int, default=1_000_000, help="decisions in the log")
    parser.add_argument("--times", type=int, default=7, help="how often each page is asked for")
    options = parser.parse_args()
    where = report.setting("uvicorn", "starlette", "sqlalchemy")
    with tempfile.TemporaryDirectory() as scratch:
        log = (options.log or Path(scratch) / "state").absolute()
        if not (log / SQLITE_NAME).exists():
            log.mkdir(parents=True, exist_ok=True)
            print(f"making a log of {options.rows:,} decisions", file=sys.stderr)
            million.fill(log, options.rows)
        found, rate, rows = served(Path(scratch), log, options.times)
    where |= {"rows": rows, "times": options.times, "export rows/s": round(rate)}
    report.publish("The console before a long log", where, [], {"pages": found}, options.json)
    print(*table(found), sep="\n")


if __name__ == "__main__":
    main()
