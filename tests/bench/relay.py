"""The SMTP relay's throughput, loss and added latency, beside the roads that it has to be compared with.

    python -m tests.bench.relay [--cores 0 0,1] [--messages 2000] [--sessions 1 20] [--rounds 3] [--mail FILE] ...

Postfix's smtp-source sends one real text into Postfix's smtp-sink: directly, through a minimal relay of aiosmtpd and
aiosmtplib that connects anew for each message, through the daemon with an engine that answers at once, and through the
daemon as shipped. smtp-source opens a connection for each message. The roads take turns in each round; figures are the
medians of the rounds, ratios those of one run.

Then a paced client sends at half the rate that the daemon with scanning had reached at the most sessions, through it
and directly: what it adds is the difference of the 99th percentiles of the time from final dot to reply.

Everything is pinned alike, to each set of cores in `--cores` in turn: smtp-source, the relay with its workers,
smtp-sink, the paced client and this program. What arrived is counted by smtp-sink at each final dot (`-c`), and once
more by the decision logs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tests.__main__ import ROOT
from tests.bench import report
from tests.bench.paced import latencies
from tests.bench.roads import DaemonRelay, Relay, Road, Sink

DIRECT, MINIMAL, UNSCANNED, SCANNED = "direct", "minimal relay", "without scanning", "with scanning"
LEAST_SCANNED = 0.60
"""Of the rate without scanning, at 20 sessions."""
LEAST_UNSCANNED = 1.5
"""Of the minimal relay's rate, at 20 sessions."""
MOST_ADDED_MS = 100.0
_WARM_UP = 40
_DIRECT_TIMES = 4  # the direct run is short
_NEVER = 10**9  # a worker that is replaced takes its processor time with it


def send(road: Road, messages: int, sessions: int, mail: Path) -> dict[str, Any]:
    """One run of smtp-source: how many messages arrived, in how many seconds, and what the relay spent on them."""
    command = [report.program("smtp-source", "postfix"), "-s", str(sessions), "-m", str(messages), "-F", str(mail)]
    envelope = ["-M", "client.example.com", "-f", "alice@example.org", "-t", "bob@example.net"]
    before, spent_before = road.sink.count, road.cpu_s()
    ended: list[float] = []
    started = time.perf_counter()
    source = subprocess.Popen([*command, *envelope, f"127.0.0.1:{road.port}"], stderr=subprocess.PIPE, text=True)

    def await_end() -> None:
        source.wait()
        ended.append(time.perf_counter())

    waiter = threading.Thread(target=await_end)  # not polled: the run without a relay is short
    waiter.start()
    with report.progress(f"{road.name}, {sessions}") as bar:
        task = bar.add_task(road.name, total=messages)
        while waiter.is_alive():
            waiter.join(0.5)
            bar.update(task, completed=road.sink.count - before)
    assert source.stderr is not None
    with source.stderr as stderr:
        said = stderr.read().strip()
    if source.returncode:
        print(f"{road.name}: smtp-source ended with status {source.returncode}: {said}", file=sys.stderr)
    arrived = road.sink.count - before
    spent = [now - earlier for now, earlier in zip(road.cpu_s(), spent_before, strict=True)]
    return {
        "sent": messages,
        "arrived": arrived,
        "per_second": arrived / (ended[0] - started),
        "relay_cpu_ms": 1e3 * sum(spent[:1]) / messages,
        "worker_cpu_ms": 1e3 * sum(spent[1:]) / messages,
        "source_status": source.returncode,
    }


def measure(folder: Path, cores: tuple[int, ...], options: argparse.Namespace) -> dict[str, Any]:
    """All roads on one set of cores."""
    os.sched_setaffinity(0, cores)
    with ExitStack() as stack:
        folder.mkdir()
        sinks = [stack.enter_context(Sink(folder)) for _ in range(4)]
        engine = {"workers": options.workers, "recycle_after": _NEVER}
        daemons = [
            DaemonRelay(UNSCANNED, sinks[2], folder / "unscanned", {}, scan=False),
            DaemonRelay(SCANNED, sinks[3], folder / "scanned", {"engine": engine}, scan=True),
        ]
        minimal = Relay(MINIMAL, sinks[1], folder / "minimal", ["tests.bench.minimal_relay", sinks[1].address])
        roads = [stack.enter_context(road) for road in (Road(DIRECT, sinks[0]), minimal, *daemons)]
        rows = []
        for road in roads[1:]:
            send(road, _WARM_UP, min(_WARM_UP, max(options.sessions)), options.mail)
        for sessions in options.sessions:
            rounds = [[_run(road, sessions, options) for road in roads] for _ in range(options.rounds)]
            runs = zip(*rounds, strict=True)
            rows += [_row(road, sessions, list(its)) for road, its in zip(roads, runs, strict=True)]
        half = _rate(rows, SCANNED, max(options.sessions)) / 2
        latency = _added_latency(roads[0], roads[-1], half, options)
    logged = {daemon.name: daemon.delivered() - _WARM_UP for daemon in daemons}
    paced = latency["messages"] + latency["messages"] // 10
    through = options.messages * options.rounds * len(options.sessions)
    return {
        "cores": list(cores),
        "rows": rows,
        "ratios": [_ratios(rows, sessions) for sessions in options.sessions],
        "latency": latency,
        "logged_missing": {UNSCANNED: through - logged[UNSCANNED], SCANNED: through + paced - logged[SCANNED]},
        "ended": {road.name: road.status for road in roads[2:]},
    }


def _run(road: Road, sessions: int, options: argparse.Namespace) -> dict[str, Any]:
    times = _DIRECT_TIMES if road.name == DIRECT else 1
    return send(road, times * options.messages, sessions, options.mail)


def _row(road: Road, sessions: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    sent, arrived = (sum(run[key] for run in runs) for key in ("sent", "arrived"))
    return {
        "road": road.name,
        "sessions": sessions,
        "sent": sent,
        "lost": sent - arrived,
        **{key: round(statistics.median(run[key] for run in runs), 3) for key in ("relay_cpu_ms", "worker_cpu_ms")},
        "per_second": round(statistics.median(run["per_second"] for run in runs), 1),
        "per_second_of_rounds": [round(run["per_second"], 1) for run in runs],
        "source_status": max(run["source_status"] for run in runs),
    }


def _rate(rows: list[dict[str, Any]], road: str, sessions: int) -> float:
    return float(next(row["per_second"] for row in rows if (row["road"], row["sessions"]) == (road, sessions)))


def _ratios(rows: list[dict[str, Any]], sessions: int) -> dict[str, float]:
    direct, minimal, unscanned, scanned = (_rate(rows, r, sessions) for r in (DIRECT, MINIMAL, UNSCANNED, SCANNED))
    return {
        "sessions": sessions,
        "scanned_to_unscanned": round(scanned / unscanned, 3),
        "unscanned_to_minimal": round(unscanned / minimal, 3),
        "unscanned_to_direct": round(unscanned / direct, 3),
    }


def _added_latency(direct: Road, scanned: Road, per_second: float, options: argparse.Namespace) -> dict[str, Any]:
    """Percentiles in ms at one pace on both roads, and what scanning relay adds to them."""
    messages = max(200, round(per_second * options.paced_s))

    def percentiles(road: Road) -> dict[str, float]:
        print(f"paced, {road.name}: {messages} messages, {per_second:.0f} a second", file=sys.stderr)
        seconds = asyncio.run(latencies(road.port, options.mail, per_second=per_second, messages=messages))
        return {f"p{share}_ms": round(1e3 * float(np.percentile(seconds, share)), 2) for share in (50, 90, 99)}

    without, through = percentiles(direct), percentiles(scanned)
    added = {key: round(through[key] - without[key], 2) for key in through}
    return {
        "per_second": round(per_second, 1),
        "messages": messages,
        "direct": without,
        "with_scanning": through,
        "added": added,
    }


def _cores(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(core) for core in text.split(",")}))


def _summary(run: dict[str, Any], most: int) -> str:
    ratios, latency = next(r for r in run["ratios"] if r["sessions"] == most), run["latency"]
    cores = ",".join(map(str, run["cores"]))
    return (
        f"cores {cores}, {most} sessions: with scanning / without {ratios['scanned_to_unscanned']} "
        f"(wanted {LEAST_SCANNED}), without / minimal {ratios['unscanned_to_minimal']} (wanted {LEAST_UNSCANNED}); "
        f"at {latency['per_second']} msg/s p99 {latency['with_scanning']['p99_ms']} ms, "
        f"direct {latency['direct']['p99_ms']} ms, added {latency['added']['p99_ms']} ms (at most {MOST_ADDED_MS:g}); "
        f"missing in the decision logs: {sum(run['logged_missing'].values())}"
    )


def main() -> None:
    """Run all, print."""
    everything = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    parser = report.arguments(__doc__)
    parser.add_argument("--messages", type=int, default=2000, help="a road and a round")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="engine.workers of the daemon with scanning")
    parser.add_argument("--paced-s", type=float, default=10.0, help="seconds of paced sending, a road")
    parser.add_argument("--cores", type=_cores, nargs="+", default=[_cores(everything)], help="sets of cores, in turn")
    parser.add_argument(
        "--mail", type=Path, default=ROOT / "examples" / "messages" / "ham-newsletter.eml", help="the message to send"
    )
    options = parser.parse_args()
    where = report.setting()
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as name:
        runs = [measure(Path(name) / str(n), cores, options) for n, cores in enumerate(options.cores)]
    os.sched_setaffinity(0, set().union(*options.cores))
    rows = [
        (
            row["road"],
            ",".join(map(str, run["cores"])),
            *(row[key] for key in ("sessions", "sent", "lost", "per_second", "relay_cpu_ms", "worker_cpu_ms")),
        )
        for run in runs
        for row in run["rows"]
    ]
    columns = ("road", "cores", "sessions", "sent", "lost", "msg/s", "relay ms", "worker ms")
    table = report.table(columns, rows)
    size = options.mail.stat().st_size
    head = (
        f"{options.mail.name} of {size} bytes, {options.workers} worker(s), medians of {options.rounds} rounds; "
        "ms: processor time a message"
    )
    table.caption = "\n".join((head, *(_summary(run, max(options.sessions)) for run in runs)))
    figures = {"bytes": size, "messages": options.messages, "workers": options.workers, "runs": runs}
    report.publish("SMTP relay", where, table, figures, options.json)
    lost = any(row["lost"] for run in runs for row in run["rows"])
    sys.exit(1 if lost or any(any(run["logged_missing"].values()) for run in runs) else 0)


if __name__ == "__main__":
    main()
