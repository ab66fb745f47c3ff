"""The daemon's end of one worker: starts the process, hands it batches, hears its answers and its end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import structlog

from spamfilter.config import ENV_PREFIX
from spamfilter.engine import frames
from spamfilter.engine.batcher import Pending
from spamfilter.verdict import Failure

log = structlog.get_logger(__name__)

DEFAULT_FACTORY = "spamfilter.classifier:load"
_STDERR_KEPT = 4096
# One core a worker: more workers, not more threads, is how this engine grows.
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ),
    "1",
)


class WorkerError(Exception):
    """A worker did not become ready; says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a worker is started. `factory` is `module:function`, called with `bundle` and `options` (JSON values).

    `memory_mib` 0 sets no limit.
    """

    bundle: Path
    factory: str = DEFAULT_FACTORY
    options: Mapping[str, Any] = field(default_factory=dict)
    memory_mib: int = 0
    start_timeout_s: float = 60.0

    def command(self) -> list[str]:
        """The argument vector."""
        worker = [sys.executable, "-P", "-m", "spamfilter.engine.worker"]
        options = ["--bundle", str(self.bundle), "--factory", self.factory, "--options", json.dumps(dict(self.options))]
        return [*worker, *options, "--memory-mib", str(self.memory_mib), "--parent", str(os.getpid())]

    def environment(self) -> dict[str, str]:
        """The daemon's own with its import path and single-threaded mathematics, without its settings (passwords)."""
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        own = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        return {**own, **_ONE_THREAD, "PYTHONPATH": path}


class WorkerProcess(asyncio.SubprocessProtocol):
    """One worker. Ready when `start` returns; `gone` is set when it has ended and all its answers were heard.

    `holding` has what it was sent and has not answered. `on_answer` and `on_gone` are called on the event loop.
    """

    def __init__(
        self,
        on_answer: Callable[[WorkerProcess, Pending, frames.Outcome], None],
        on_gone: Callable[[WorkerProcess], None],
    ) -> None:
        self.gone = asyncio.Event()
        self.leaving = asyncio.Event()  # gone, or to be replaced
        self.holding: dict[int, Pending] = {}
        self.answered = 0
        self.pid = 0
        self.model_id = ""
        self.load_s = 0.0
        self.hung = False  # killed because it took too long
        self.retiring = False  # to be ended after its batch
        self.dismissed = False  # ended on purpose, idle
        self._on_answer = on_answer
        self._on_gone = on_gone
        self._numbers = itertools.count()
        self._decoder = frames.Decoder()
        self._stderr = b""
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.SubprocessTransport

    @classmethod
    async def start(
        cls,
        launch: Launch,
        on_answer: Callable[[WorkerProcess, Pending, frames.Outcome], None],
        on_gone: Callable[[WorkerProcess], None],
    ) -> Self:
        """Start a process and wait until it has loaded its bundle. Raises WorkerError; leaves no process behind."""
        worker = cls(on_answer, on_gone)
        # Shielded: a subprocess_exec that is cancelled while it connects the pipes may leave them, and the process.
        spawning = asyncio.ensure_future(
            asyncio.get_running_loop().subprocess_exec(
                lambda: worker, *launch.command(), env=launch.environment(), start_new_session=True
            )
        )
        try:
            await asyncio.shield(spawning)
        except OSError as error:
            raise WorkerError(f"cannot start {sys.executable}: {error}") from None
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await spawning
                await worker.end()
            raise
        try:
            async with asyncio.timeout(launch.start_timeout_s):
                await worker._ready
        except TimeoutError:
            await worker.end()
            raise WorkerError(f"not ready within {launch.start_timeout_s:g} s{worker._last_words()}") from None
        except BaseException:
            await worker.end()
            raise
        return worker

    def send(self, batch: Sequence[Pending]) -> None:
        """Hand over a batch, in one write. The worker must be idle."""
        last = len(batch) - 1
        data = []
        for index, pending in enumerate(batch):
            number = next(self._numbers)
            self.holding[number] = pending
            last_one = index == last
            data.append(
                frames.encode_message(number, pending.message, last=last_one, ask=pending.ask, seconds=pending.seconds)
            )
        stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        stdin.write(b"".join(data))

    def kill(self) -> None:
        """SIGKILL: it keeps nothing that would be worth a goodbye."""
        # Not transport.kill(): that may reap the process before asyncio's own watcher does.
        if not self.gone.is_set() and self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill it and wait until it is gone, also when cancelled: it goes at once, and nobody else waits for it."""
        self.kill()
        try:
            await self.gone.wait()
        except asyncio.CancelledError:
            await self.gone.wait()
            raise

    @property
    def rss_mib(self) -> float:
        """Resident memory now, MiB; 0 where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / (1024 * 1024)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid() or 0

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._stderr = (self._stderr + data)[-_STDERR_KEPT:]
            return
        try:
            for frame in self._decoder.feed(data):
                self._receive(frame)
        except frames.FrameError as error:
            log.error("engine.worker_talks_nonsense", pid=self.pid, error=str(error))
            self.kill()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.kill()  # without its answers it is of no use

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport.close()
        if not self._ready.done():
            self._ready.set_exception(WorkerError(f"{self.ending()}{self._last_words()}"))
            self._ready.exception()  # retrieved: `start` may have been cancelled
        self.gone.set()
        self.leaving.set()
        self._on_gone(self)

    def ending(self) -> str:
        """How it ended, for people."""
        status = self._transport.get_returncode()
        if status is not None and status < 0:
            with contextlib.suppress(ValueError):
                return f"ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def crash_report(self) -> str:
        """What the interpreter said of its own death. The rest of standard error is kept back: it may quote mail."""
        _, marker, report = self._stderr.rpartition(b"Fatal Python error")
        return (marker + report).decode("utf-8", "replace") if marker else ""

    def _receive(self, frame: frames.Frame) -> None:
        if self._ready.cancelled():
            return
        if self._ready.done():
            number, outcome = frames.decode_answer(frame)
            pending = self.holding.pop(number, None)
            if pending is None:
                raise frames.FrameError(f"an answer to message {number}, which it does not have")
            if not isinstance(outcome, (frames.ANSWERS[pending.ask], Failure)):
                raise frames.FrameError(f"an answer of another kind than message {number} asks for")
            self.answered += 1
            self._on_answer(self, pending, outcome)
        elif "failed" in frame.header:
            self._ready.set_exception(WorkerError(str(frame.header["failed"])))
        elif "ready" in frame.header:
            self.model_id, self.load_s = frame.header["model"], frame.header["load_s"]
            self._ready.set_result(None)
        else:
            raise frames.FrameError("neither ready nor failed")

    def _last_words(self) -> str:
        text = self._stderr.decode("utf-8", "replace").strip()
        return f"; its last words:\n{text[-1500:]}" if text else ""
