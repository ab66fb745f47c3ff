"""One training at a time, as a process of its own that a restart of the console does not end, and finds again.

    state_dir/console/training/lock       held by the process, and by its children, for as long as one of them lives
    state_dir/console/training/job.json   what was started, by whom, and how it ended
    state_dir/console/training/job.log    what it says

Whoever cannot take the lock knows that a training runs; the group in `job.json` is then surely the one that holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spamfilter.console.security.private_file import write_private

FOLDER = "console/training"
LOCK, JOB, LOG = "lock", "job.json", "job.log"
NICENESS = 10
TAIL_BYTES = 16 * 1024
"""So much of the end of a log is shown."""


class TrainingError(Exception):
    """Why nothing was started or stopped; made to be shown as it is."""


@dataclass(frozen=True, slots=True)
class Job:
    """A training. `code` is its exit status: None while it runs, and where it ended while nobody watched.

    `folder` holds the trainer's `metrics.jsonl`, "" where it has none; `group` is its process group.
    """

    step: str
    command: tuple[str, ...]
    folder: str
    by: str
    started: datetime
    group: int
    ended: datetime | None = None
    code: int | None = None
    stopped_by: str = ""
    running: bool = False

    @property
    def sentence(self) -> str:
        """How it stands, for people."""
        if self.running:
            return "is being stopped" if self.stopped_by else "is running"
        if self.stopped_by:
            return f"was stopped by {self.stopped_by}"
        if self.code is None:
            return "ended while the console was away; its log says how"
        return "is done" if self.code == 0 else f"ended with exit code {self.code}; its log says why"


class Training:
    """The trainings of one `state_dir`. Methods may be called from any thread; `start` and `stop` take a moment."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir.absolute() / FOLDER
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def start(
        self, step: str, command: Sequence[str], *, by: str, folder: Path | None = None,
        environ: Mapping[str, str] | None = None, cwd: Path | None = None,
    ) -> Job:  # fmt: skip
        """Start `command` at low priority. Raises TrainingError where another one runs, or it cannot be started."""
        with self._turn:
            self._reap()
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise TrainingError(
                    f"{error.filename}: {error.strerror}; the console keeps its trainings there"
                ) from None
            try:
                if not _taken(lock):
                    raise TrainingError("another training is running; wait for it, or stop it first")
                log = os.open(self.folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                try:
                    process = subprocess.Popen(
                        list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd,
                        env=None if environ is None else dict(environ), pass_fds=(lock,), start_new_session=True,
                    )  # fmt: skip
                finally:
                    os.close(log)
                with contextlib.suppress(ProcessLookupError):  # it may be over already
                    os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
                self._process = process
                where = "" if folder is None else str(folder)
                return self._note(Job(step, tuple(command), where, by, datetime.now(UTC), process.pid, running=True))
            except OSError as error:
                raise TrainingError(f"{command[0]}: {error.strerror}; it was not started") from None
            finally:
                os.close(lock)

    def stop(self, by: str) -> Job:
        """SIGTERM to the training and its children; runs of the trainer go on from there. Raises TrainingError."""
        with self._turn:
            job = self._current()
            if job is None or not job.running:
                raise TrainingError("no training is running")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.group, signal.SIGTERM)
            return self._note(replace(job, stopped_by=by))

    def current(self) -> Job | None:
        """The training that runs, or else the last one; None where there was none."""
        with self._turn:
            return self._current()

    def tail(self) -> str:
        """The end of its log, in whole lines."""
        try:
            with (self.folder / LOG).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return text if size <= TAIL_BYTES else text.partition("\n")[2]

    def _current(self) -> Job | None:
        code = self._reap()
        job = self._read()
        if job is None:
            return None
        if self._held():
            return replace(job, running=True)
        if job.running:
            job = self._note(replace(job, running=False, ended=datetime.now(UTC), code=code))
        return job

    def _reap(self) -> int | None:
        """The exit status of the process that this console started, once it has ended."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self._process = None
        return code

    def _held(self) -> bool:
        try:
            lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _taken(lock)
        finally:
            os.close(lock)

    def _note(self, job: Job) -> Job:
        plain = asdict(job)
        plain["started"] = job.started.isoformat()
        plain["ended"] = None if job.ended is None else job.ended.isoformat()
        write_private(self.folder / JOB, json.dumps(plain))
        return job

    def _read(self) -> Job | None:
        try:
            plain: dict[str, Any] = json.loads((self.folder / JOB).read_text("utf-8"))
            ended = plain["ended"]
            times = {
                "started": datetime.fromisoformat(plain["started"]),
                "ended": None if ended is None else datetime.fromisoformat(ended),
            }
            return Job(**{**plain, **times, "command": tuple(plain["command"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def _taken(lock: int) -> bool:
    """Take the lock, if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
