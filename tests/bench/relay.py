"""Throughput and loss of the SMTP relay: Postfix's smtp-source through the real daemon into Postfix's smtp-sink.

    python -m tests.bench.relay [--messages 5000] [--sessions 20] [--workers 1] [--mail FILE] [--json FILE]

The same run without the daemon stands beside it. All messages are one real text (nothing is cached by its content), a
connection each, as smtp-source does it. What arrived is counted by smtp-sink at each final dot (`-c`), and once more
by the daemon's own decision log.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from spamfilter.store.database import store_url
from spamfilter.store.history import Filter, History
from spamfilter.verdict import Disposition
from tests.__main__ import ROOT
from tests.bench import report
from tests.e2e.daemon import ServedDaemon

_COUNTER = re.compile(r"mesg=(\d+)")
_WARM_UP = 20


class Sink:
    """smtp-sink on a free port; `count` is how many messages it has answered for."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._counters = folder / f"sink-{self.port}"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [report.program("smtp-sink", "postfix"), *user, "-c", "-m", "1000", self.address, "1000"]
        with self._counters.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out)

    @property
    def count(self) -> int:
        """The last of the running counters that smtp-sink prints."""
        found = _COUNTER.findall(self._counters.read_text("ascii", "replace"))
        return int(found[-1]) if found else 0

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    connection.recv(100)
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    sys.exit("smtp-sink did not start")
                time.sleep(0.02)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()


def send(port: int, messages: int, sessions: int, mail: Path) -> subprocess.Popen[str]:
    """smtp-source at work; every message over a connection of its own."""
    command = [report.program("smtp-source", "postfix"), "-s", str(sessions), "-m", str(messages), "-F", str(mail)]
    envelope = ["-M", "client.example.com", "-f", "alice@example.org", "-t", "bob@example.net"]
    return subprocess.Popen([*command, *envelope, f"127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True)


def measure(what: str, port: int, sink: Sink, messages: int, sessions: int, mail: Path) -> dict[str, Any]:
    """One run: how many messages arrived, in how many seconds."""
    before = sink.count
    ended: list[float] = []
    started = time.perf_counter()
    source = send(port, messages, sessions, mail)

    def await_end() -> None:
        source.wait()
        ended.append(time.perf_counter())

    waiter = threading.Thread(target=await_end)  # not polled: the run without the daemon is short
    waiter.start()
    with report.progress(what) as bar:
        task = bar.add_task(what, total=messages)
        while waiter.is_alive():
            waiter.join(0.2)
            bar.update(task, completed=sink.count - before)
    assert source.stderr is not None
    with source.stderr as stderr:
        said = stderr.read().strip()
    if source.returncode:
        print(f"{what}: smtp-source ended with status {source.returncode}: {said}", file=sys.stderr)
    seconds = ended[0] - started
    arrived = sink.count - before
    return {
        "sent": messages,
        "arrived": arrived,
        "lost": messages - arrived,
        "seconds": round(seconds, 3),
        "per_second": round(arrived / seconds, 1),
        "source_status": source.returncode,
    }


def through_the_daemon(folder: Path, options: Any) -> dict[str, Any]:
    """A run through a daemon of its own, with the processor time that it and its workers took."""
    with Sink(folder) as sink:
        settings = {
            "folder": {"enabled": False},
            "smtp": {"next_hop": sink.address},
            "engine": {"workers": options.workers},
        }
        with ServedDaemon(folder / "daemon", settings) as daemon:
            daemon.start()
            measure("warm-up", daemon.port, sink, _WARM_UP, min(_WARM_UP, options.sessions), options.mail)
            processes = daemon.processes()
            before = [_cpu_s(process) for process in processes]
            result = measure("relay", daemon.port, sink, options.messages, options.sessions, options.mail)
            spent = [_cpu_s(process) - earlier for process, earlier in zip(processes, before, strict=True)]
            result["daemon_cpu_ms"] = round(1e3 * spent[0] / options.messages, 2)
            result["worker_cpu_ms"] = round(1e3 * sum(spent[1:]) / options.messages, 2)
            result["daemon_status"] = daemon.stop()
        with History(store_url("", daemon.state_dir)) as log:
            result["logged_delivered"] = log.count(Filter(disposition=Disposition.DELIVERED)) - _WARM_UP
    return result


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Run both, print."""
    parser = report.arguments(__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1, help="engine.workers of the daemon")
    parser.add_argument(
        "--mail", type=Path, default=ROOT / "examples" / "messages" / "ham-newsletter.eml", help="the message to send"
    )
    options = parser.parse_args()
    where = report.setting()
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as name:
        folder = Path(name)
        with Sink(folder) as sink:
            direct = measure("direct", sink.port, sink, options.messages, options.sessions, options.mail)
        relayed = through_the_daemon(folder, options)
    ratio = relayed["per_second"] / direct["per_second"] if direct["per_second"] else 0.0
    rows = [
        (name, *(run[key] for key in ("sent", "arrived", "lost", "seconds", "per_second")), share)
        for name, run, share in (
            ("smtp-source -> smtp-sink", direct, "1"),
            ("smtp-source -> spamfilter -> smtp-sink", relayed, f"{ratio:.3f}"),
        )
    ]
    table = report.table(("road", "sent", "arrived", "lost", "seconds", "msg/s", "ratio"), rows)
    table.caption = (
        f"{options.sessions} sessions, {options.workers} worker(s), {options.mail.name} of "
        f"{options.mail.stat().st_size} bytes; processor time a message: daemon {relayed['daemon_cpu_ms']} ms, "
        f"worker {relayed['worker_cpu_ms']} ms; the decision log says delivered: {relayed['logged_delivered']}"
    )
    figures = {"sessions": options.sessions, "workers": options.workers, "bytes": options.mail.stat().st_size}
    figures |= {"direct": direct, "relay": relayed, "ratio": round(ratio, 4)}
    report.publish("SMTP relay", where, table, figures, options.json)
    sys.exit(1 if relayed["lost"] or direct["lost"] else 0)


if __name__ == "__main__":
    main()
