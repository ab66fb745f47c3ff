"""How soon the daemon is ready and how much memory it takes, with one worker and the defaults.

    python -m tests.bench.daemon [--mails 500] [--starts 3] [--data-dir DIR] [--json FILE]

Ready means that its port greets. The mails are real ones where the SpamAssassin corpus is at hand, else those of
examples/, over and over. RSS counts pages that processes share once for each.
"""

from __future__ import annotations

import itertools
import re
import smtplib
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.__main__ import ROOT
from tests.bench import report
from tests.e2e.daemon import ServedDaemon
from trainer.data.corpora import data_dir, spamassassin
from trainer.errors import DataError

MOST_RSS_MB = 500
MOST_READY_S = 5.0
_LINE_END = re.compile(rb"\r\n|\r|\n")


def until_ready(daemon: ServedDaemon) -> float:
    """Seconds from the start of the process to the greeting on its port."""
    started = time.perf_counter()
    daemon.launch()
    assert daemon.process is not None
    while True:
        try:
            with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as connection:
                if connection.recv(100).startswith(b"220"):
                    return time.perf_counter() - started
        except ConnectionRefusedError:
            if daemon.process.poll() is not None:
                sys.exit(f"the daemon did not start:\n{daemon.log()}")
        time.sleep(0.005)


def mails(given: Path | None, count: int) -> tuple[str, Iterator[bytes]]:
    """Where they come from, and `count` of them as SMTP wants them."""
    try:
        source, found = "SpamAssassin corpus", (example.raw for example in spamassassin(data_dir(given)))
    except DataError:
        texts = [path.read_bytes() for path in sorted((ROOT / "examples" / "messages").glob("*.eml"))]
        source, found = "examples", (raw for raw in itertools.cycle(texts))
    return source, (_LINE_END.sub(b"\r\n", raw) for raw in itertools.islice(found, count))


def send(daemon: ServedDaemon, sent: Iterator[bytes], count: int) -> list[float]:
    """Milliseconds from MAIL to the reply to the final dot, one message after the other."""
    took = []
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=60) as client, report.progress("mails") as bar:
        for raw in bar.track(sent, total=count):
            started = time.perf_counter()
            client.sendmail("alice@example.org", ["bob@example.net"], raw)
            took.append(1e3 * (time.perf_counter() - started))
    return took


def memory(daemon: ServedDaemon) -> dict[str, float]:
    """RSS in MB (10^6 bytes): the daemon, its worker, both; and what is not shared with anybody."""
    own, *workers = daemon.processes()
    rss = [process.memory_info().rss / 1e6 for process in (own, *workers)]
    unshared = sum(process.memory_full_info().uss for process in (own, *workers)) / 1e6
    figures = {"daemon": rss[0], "worker": sum(rss[1:]), "sum": sum(rss), "sum_unshared": unshared}
    return {name: round(value, 1) for name, value in figures.items()}


def peak(process: psutil.Process) -> float:
    """The most RSS that a process ever had, MB."""
    status = Path(f"/proc/{process.pid}/status").read_text("ascii", "replace")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return round(int(found[1]) * 1024 / 1e6, 1) if found else 0.0


def main() -> None:
    """Start some times, send, print."""
    parser = report.arguments(__doc__)
    parser.add_argument("--mails", type=int, default=500, help="how many to send before memory is looked at again")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--data-dir", type=Path, help="folder of the corpora")
    options = parser.parse_args()
    where = report.setting()
    source, sent = mails(options.data_dir, options.mails)
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as name:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with ServedDaemon(Path(name), port=port) as daemon:
            ready = []
            for number in range(options.starts):
                if number:
                    daemon.stop()
                ready.append(round(until_ready(daemon), 3))
            at_ready = memory(daemon)
            took = send(daemon, sent, options.mails)
            afterwards = memory(daemon)
            peaks = [peak(process) for process in daemon.processes()]
    figures: dict[str, Any] = {
        "ready_s": ready,
        "ready_limit_s": MOST_READY_S,
        "rss_mb_at_ready": at_ready,
        "rss_mb_afterwards": afterwards,
        "rss_mb_peaks": {"daemon": peaks[0], "worker": sum(peaks[1:])},
        "rss_limit_mb": MOST_RSS_MB,
        "mails": len(took),
        "mails_from": source,
        "ms_a_mail": {
            "median": round(statistics.median(took), 1),
            "p99": round(statistics.quantiles(took, n=100)[98], 1),
        },
    }
    slowest, speed = max(ready), figures["ms_a_mail"]
    rows = [
        (f"ready, slowest of {len(ready)} starts, s", slowest, f"< {MOST_READY_S:g}", _kept(slowest, MOST_READY_S)),
        _rss_row("when ready", at_ready["daemon"], at_ready["worker"]),
        _rss_row(f"after {len(took)} mails", afterwards["daemon"], afterwards["worker"]),
        _rss_row("at their peaks", peaks[0], sum(peaks[1:])),
        ("one mail after the other, median / p99, ms", f"{speed['median']} / {speed['p99']}", "", ""),
    ]
    table = report.table(("what", "measured", "limit", "kept"), rows)
    table.caption = f"mails from: {source}"
    report.publish("daemon", where, table, figures, options.json)


def _rss_row(when: str, daemon: float, worker: float) -> tuple[str, str, str, str]:
    both = daemon + worker
    what = f"RSS {when}, MB: daemon + worker"
    return what, f"{daemon:.1f} + {worker:.1f} = {both:.1f}", f"< {MOST_RSS_MB}", _kept(both, MOST_RSS_MB)


def _kept(value: float, limit: float) -> str:
    return "yes" if value < limit else "NO"


if __name__ == "__main__":
    main()
