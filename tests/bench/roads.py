"""The roads that a benchmark sends mail along: Postfix's smtp-sink at the end, and the relays before it.

Each relay is a process of its own that says on standard output where it listens; `Road` starts it, counts its
processor time, and ends it. All inherit the cores that the benchmark was pinned to.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml

from spamfilter.config import ENV_PREFIX
from spamfilter.store.database import store_url
from spamfilter.store.history import Filter, History
from spamfilter.verdict import Disposition
from tests.__main__ import ROOT
from tests.bench import report

_COUNTER = re.compile(rb"mesg=(\d+)")
_TAIL = 400
_ANNOUNCED = "listening on port "
_PORT = re.compile(rf"^(?:{_ANNOUNCED}|mail:   SMTP on \S+:)(\d+)", re.M)
_START_S = 60.0
_SESSIONS = 1000


def announce(port: int) -> None:
    """What a relay made for a benchmark says when mail may come."""
    print(f"{_ANNOUNCED}{port}", flush=True)


class Sink:
    """smtp-sink on a free port; `count` is how many messages it has answered for."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._counters = folder / f"sink-{self.port}"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [
            report.program("smtp-sink", "postfix"),
            *user,
            "-c",
            "-m",
            str(_SESSIONS),
            self.address,
            str(_SESSIONS),
        ]
        with self._counters.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out)

    @property
    def count(self) -> int:
        """The last of the running counters that smtp-sink prints."""
        with self._counters.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            found = _COUNTER.findall(file.read())
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


class Road:
    """A way to `sink`: its `port` is where mail goes in. The plain one has no process: it goes there directly."""

    def __init__(self, name: str, sink: Sink) -> None:
        self.name = name
        self.sink = sink
        self.port = sink.port
        self.status = 0

    def cpu_s(self) -> list[float]:
        """Processor seconds so far: of the relay's process, then of each of its children."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Nothing to end."""


class Relay(Road):
    """A relay in a process: `python -m MODULE ARGUMENTS`, running within a `with` block. `status` is how it ended."""

    def __init__(self, name: str, sink: Sink, folder: Path, module: Sequence[str]) -> None:
        super().__init__(name, sink)
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"
        self._command = [sys.executable, "-m", *module]
        self._process: subprocess.Popen[str] | None = None

    def cpu_s(self) -> list[float]:
        """See `Road`."""
        assert self._process is not None
        relay = psutil.Process(self._process.pid)
        times = [process.cpu_times() for process in (relay, *relay.children(recursive=True))]
        return [float(spent.user + spent.system) for spent in times]

    def __enter__(self) -> Self:
        own = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := _PORT.match(line):
                self.port = int(found[1])
                return self
        self._process.wait()
        sys.exit(f"{self.name} did not start:\n{self._log.read_text('utf-8', 'replace')[-3000:]}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self._process is not None and self._process.stdout is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self.status = self._process.wait(_START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.status = self._process.wait()
        self._process.stdout.close()


class DaemonRelay(Relay):
    """The daemon, as shipped, or around an engine that answers at once (`scan=False`)."""

    def __init__(self, name: str, sink: Sink, folder: Path, settings: dict[str, Any], *, scan: bool) -> None:
        config = folder / "config.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        self._state_dir = folder / "state"
        # a client that keeps its pace through a stall of the machine has hundreds of connections open
        smtp = {"listen": "127.0.0.1:0", "next_hop": sink.address, "max_sessions": _SESSIONS}
        apart = {"enabled": False}
        own = {"state_dir": str(self._state_dir), "folder": apart, "console": apart, "smtp": smtp}
        config.write_text(yaml.safe_dump({**settings, **own}), "utf-8")
        program = ["spamfilter", "serve", "--config"] if scan else ["tests.bench.instant_daemon"]
        super().__init__(name, sink, folder, [*program, str(config)])

    def delivered(self) -> int:
        """What the decision log has as delivered. Call it when the daemon has ended."""
        with History(store_url("", self._state_dir)) as log:
            return log.count(Filter(disposition=Disposition.DELIVERED))
