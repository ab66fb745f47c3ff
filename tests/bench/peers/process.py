"""A peer's server as a child: started in its folder, awaited, ended with all that it forked; clients as processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.bench.race import Absent

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
_OUT = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def found(name: str, package: str) -> str:
    """The path of a program. Raises Absent with what to install."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise Absent(f"not installed: apt-get install {package}")
    return path


def said(*command: str) -> str:
    """The first line that a program prints, for its version."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of the loopback address that nobody has."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One child and its own children. `log` is where both of its outputs go."""

    def __init__(self, command: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.log = folder / "output.log"
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the first process."""
        return self._process.pid

    def pids(self) -> list[int]:
        """All of its processes."""
        own = psutil.Process(self.pid)
        return [own.pid, *(child.pid for child in own.children(recursive=True))]

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when it is ready. Raises Absent with the end of its log when it ends, or is not ready in time."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Absent(f"did not start: {self.log.read_text('utf-8', 'replace')[-300:].strip()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to whatever is left of its session and of its children."""
        own: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.pid).children(recursive=True)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for process in own:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()


def answers(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def on_file(command: Sequence[str], stdin: Path) -> int:
    """The exit status of a program that reads a file and whose output nobody wants; started as cheaply as can be."""
    actions = [(os.POSIX_SPAWN_OPEN, 0, str(stdin), os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, _OUT, 0)]
    pid = os.posix_spawn(command[0], list(command), os.environ, file_actions=actions)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
