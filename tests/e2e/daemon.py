"""The real daemon in a process of its own: `spamfilter serve` with the real bundle, started, killed, started again."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml

from spamfilter.config import ENV_PREFIX
from tests.__main__ import ROOT

_MARK = "SPAMFILTER_TEST_DAEMON"
_GONE_S = 30.0


class ServedDaemon:
    """One `state_dir`, and the daemon that serves it now, if any. `settings` is laid over the defaults.

    The port is the system's choice at the first start, and stays the same from then on, as an admin's would. `pages` is
    the console's sign-in link.
    """

    def __init__(self, root: Path, settings: dict[str, Any] | None = None, *, port: int = 0) -> None:
        self.state_dir = root / "state"
        self.port = port
        self.pages = ""
        self.process: subprocess.Popen[str] | None = None
        self._config = root / "config.yaml"
        self._log = root / "daemon.log"
        self._settings = settings or {}
        self._mark = secrets.token_hex(8)
        root.mkdir(parents=True, exist_ok=True)

    def launch(self) -> None:
        """Start the process, and do not wait for it."""
        assert self.process is None, "runs already"
        smtp = {**self._settings.get("smtp", {}), "listen": f"127.0.0.1:{self.port}"}
        console = {"listen": "127.0.0.1:0", **self._settings.get("console", {})}
        own_settings = {"state_dir": str(self.state_dir), "smtp": smtp, "console": console}
        self._config.write_text(yaml.safe_dump({**self._settings, **own_settings}))
        own = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        command = [sys.executable, "-m", "spamfilter", "serve", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**own, _MARK: self._mark}, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def start(self) -> None:
        """Start, and return when mail may come. Raises RuntimeError with the log when it does not come to that."""
        self.launch()
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("mail:   SMTP on "):
                self.port = int(line.split(",")[0].rpartition(":")[2])
            if line.startswith("pages:"):
                self.pages = line.partition(":")[2].strip()
            if line.startswith("stop:"):
                return
        self.kill()
        raise RuntimeError(f"the daemon did not start:\n{self.log()}")

    def kill(self) -> None:
        """SIGKILL to the daemon alone, as the kernel's out-of-memory killer does it."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> int:
        process = self.process
        assert process is not None and process.stdout is not None, "does not run"
        process.send_signal(number)
        status = process.wait(timeout=120)
        process.stdout.close()
        self.process = None
        return status

    def orphans(self) -> list[psutil.Process]:
        """Processes that a dead daemon left behind, once they had time to notice."""
        assert self.process is None, "still runs"
        deadline = time.monotonic() + _GONE_S
        while (alive := self._marked()) and time.monotonic() < deadline:
            time.sleep(0.02)  # they are not our children: nothing to wait on
        return alive

    def _marked(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self._mark:
                    found.append(process)
            except psutil.Error:
                continue  # gone, a zombie, or somebody else's
        return found

    def processes(self) -> list[psutil.Process]:
        """The daemon, then its workers."""
        assert self.process is not None, "does not run"
        daemon = psutil.Process(self.process.pid)
        return [daemon, *daemon.children(recursive=True)]

    def rss_mib(self) -> list[float]:
        """Resident memory of the daemon, then of each worker, in MiB."""
        return [process.memory_info().rss / 2**20 for process in self.processes()]

    def log(self) -> str:
        """What all daemons of this `state_dir` wrote."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.process is not None:
            self.kill()
        for orphan in self.orphans():
            orphan.kill()
        if error is not None:
            error.add_note(f"the daemon's log ends with:\n{self.log()[-6000:]}")


@contextmanager
def serving(root: Path, settings: dict[str, Any] | None = None) -> Iterator[ServedDaemon]:
    """A daemon that takes mail within the block."""
    with ServedDaemon(root, settings) as daemon:
        daemon.start()
        yield daemon
