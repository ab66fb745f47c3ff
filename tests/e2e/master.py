"""A mail server's master process with all that it starts, as the tests of Postfix and of Dovecot need it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_READY_S = 20.0


class Master:
    """Started in a session of its own, so that what it leaves behind ends with it."""

    def __init__(self, name: str, log: Callable[[], str]) -> None:
        self._name, self._log = name, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], folder: Path, ready: Callable[[], bool], poll_s: float) -> None:
        """Start it and return when it is ready. Raises RuntimeError with its log when it does not come to that."""
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder, start_new_session=True)
        deadline = time.monotonic() + _READY_S
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._name} did not start:\n{self._log()}")
            time.sleep(poll_s)

    def stop(self) -> None:
        """End it and all of its processes."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def greets(port: int, with_: bytes) -> bool:
    """Whether a server on that port says so at once."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4).startswith(with_)
    except OSError:
        return False
