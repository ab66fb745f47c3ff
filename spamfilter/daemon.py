"""The composition root: builds everything once, starts it, serves, and stops it, in an order that is written here.

    start:  state directory (lock) -> decision log -> labels -> engine with its model -> samples -> shadow ->
            frontends -> console
    stop:   console, frontends (no new mail, finish what is in work) -> shadow -> samples -> labels -> engine ->
            log -> lock

Mail is taken only when all behind it stands, and the log outlives everything that writes to it. SIGTERM, SIGINT and
SIGHUP begin the stop, with `GRACE_S` for what is in work; a second one cuts that short, and a third one kills.
Readiness is told to systemd as sd_notify(3) describes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from spamfilter.config import MIB, Config
from spamfilter.engine.pool import EngineError, EnginePool
from spamfilter.model_watch import ModelWatch, Served, first_choice
from spamfilter.policy import Policy
from spamfilter.sampling import Sampler
from spamfilter.scanner import Engine, Explainer, Scanner
from spamfilter.shadow_watch import ShadowWatch
from spamfilter.state_dir import StateDir
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.feedback import StoredFeedback
from spamfilter.store.kept import FOLDER as KEPT
from spamfilter.store.kept import KeptMail
from spamfilter.store.samples import SampleStore
from spamfilter.store.seal import sealer
from spamfilter.teacher import Teacher

if TYPE_CHECKING:
    from spamfilter.console import Console
    from spamfilter.frontends.learn import Learn

GRACE_S = 20.0
_LOG_FLUSH_S = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = structlog.get_logger(__name__)


class StartError(Exception):
    """Why the daemon cannot start, and which option to change; made to be shown as it is."""


class Part(Protocol):
    """What the daemon starts and stops: the engine, and each frontend.

    `start` returns when the part serves; when it raises, nothing of the part is left. `stop` takes nothing new at once,
    gives what is in work `grace_s` seconds, and returns when nothing of the part is left; it may also be called after
    a `start` or a `stop` that was cancelled.
    """

    async def start(self) -> None: ...

    async def stop(self, grace_s: float) -> None: ...


class EngineService(Engine, Part, Protocol):
    """An engine with a life."""


class Daemon:
    """Everything that serves. `run` is its life; `request_stop` ends it, as a signal does.

    Tests pass an engine of their own; `from_config` builds the real one.
    """

    def __init__(
        self,
        config: Config,
        policy: Policy,
        engine: EngineService,
        *,
        sampler: Sampler | None = None,
        explainer: Explainer | None = None,
    ) -> None:
        state_dir = config.state_dir.absolute()
        self.config = config
        self.policy = policy
        keeper = KeptMail(state_dir / KEPT, config.store.keep_days, seal=sealer(config.path(config.learn.key)))
        self.log = DecisionStore(
            store_url(config.store.url, state_dir), retention_days=config.store.retention_days, keeper=keeper
        )
        self.engine = engine
        self.models: Part = engine
        self.teacher: Teacher | None = None
        self.console: Console | None = None
        self.sampler = sampler
        self.shadow = ShadowWatch(config, sampler or engine)
        self.scanner = Scanner(
            self.shadow,
            policy,
            self.log,
            max_message_bytes=config.engine.max_message_mib * MIB,
            explainer=explainer,
            report=config.headers.report,
        )
        self.frontends: dict[str, Part] = dict(_frontends(config, self.scanner))
        if not self.frontends:
            raise StartError("nothing to serve: set smtp.enabled or folder.enabled to true")
        self._state_dir = StateDir(state_dir)
        self._signals = 0
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stop_by = float("inf")
        self._started: set[str] = set()

    @classmethod
    def from_config(cls, config: Config) -> Daemon:
        """With the configured bundle in an engine of worker processes. Raises ConfigError, BundleError, StoreError."""
        chosen = first_choice(config)
        pool = EnginePool(config.engine, chosen.path, options=chosen.options)
        daemon = cls(config, chosen.policy, pool, sampler=_sampler(config, pool), explainer=pool)
        daemon.teacher = teacher = Teacher(config, pool)
        daemon.frontends |= dict(_ways_to_learn(config, teacher.learn))

        async def upcoming(served: Served) -> None:
            alone = config.engine.model_copy(update={"workers": 1})
            await teacher.prepare(served.model_id, EnginePool(alone, served.path, options=served.options))

        async def activated(served: Served) -> None:
            await teacher.switch(served.model_id)

        feedback = StoredFeedback(store_url(config.store.url, config.state_dir.absolute()))
        daemon.models = ModelWatch(
            config, pool, daemon.scanner, chosen=chosen, feedback=feedback, upcoming=upcoming, activated=activated
        )
        if config.console.enabled:
            daemon.console = _console(config, daemon.scanner, pool, teacher)
        return daemon

    async def run(self, on_ready: Callable[[Daemon], None] | None = None) -> None:
        """Start, call `on_ready`, serve until told to stop, and stop. Raises StartError, StoreError, StateDirError."""
        with self._state_dir, self._listening_to_signals():
            try:
                await self._startup()
                notify("READY=1")
                log.info("serving", frontends=",".join(self.frontends), state_dir=str(self._state_dir.path))
                if on_ready is not None:
                    on_ready(self)
                await self._stop.wait()
                log.info("stopping", grace_s=GRACE_S)
            finally:
                notify("STOPPING=1")
                await self._shutdown()
        log.info("stopped")

    async def _startup(self) -> None:
        await asyncio.to_thread(self.log.open)
        if self.teacher is not None:
            await self._start("labels", self.teacher)
        await self._start("engine", self.models)
        if self.teacher is not None and isinstance(self.models, ModelWatch) and self.models.served is not None:
            await self.teacher.switch(self.models.served.model_id)
        if self.sampler is not None:
            await self._start("samples", self.sampler)
        await self._start("shadow", self.shadow)
        for name, frontend in self.frontends.items():
            await self._start(name, frontend)
        if self.console is not None:
            await self._start("console", self.console)

    async def _shutdown(self) -> None:
        self._stop_by = time.monotonic() + GRACE_S
        running = [(name, part) for name, part in self.frontends.items() if name in self._started]
        if self.console is not None and "console" in self._started:
            running.append(("console", self.console))
        await asyncio.gather(*(self._end(name, frontend) for name, frontend in running))
        if "shadow" in self._started:
            await self._end("shadow", self.shadow)
        if self.sampler is not None and "samples" in self._started:
            await self._end("samples", self.sampler)
        if self.teacher is not None and "labels" in self._started:
            await self._end("labels", self.teacher)
        if "engine" in self._started:
            await self._end("engine", self.models)
        await asyncio.to_thread(self.log.close, _LOG_FLUSH_S)

    def request_stop(self) -> None:
        """Stop; called again, stop without waiting for what is in work."""
        self._signals += 1
        self._stop.set()
        if self._signals == 2:
            log.warning("stopping_at_once")
            self._hurry.set()

    async def _start(self, name: str, part: Part) -> None:
        """Start one part, unless a signal comes first. Raises StartError."""
        self._started.add(name)
        starting = asyncio.ensure_future(part.start())
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                raise StartError(f"stopped while {name} was starting")
            if starting.exception() is not None:
                self._started.discard(name)
            starting.result()
        except OSError as error:
            raise StartError(_explained(error, name, self.config)) from error
        except EngineError as error:
            raise StartError(f"the engine does not start: {error}") from error
        finally:
            starting.cancel()
            stopped.cancel()
            await asyncio.gather(starting, stopped, return_exceptions=True)

    async def _end(self, name: str, part: Part) -> None:
        """Stop one part: by the end of the grace, or at once when in a hurry. Its failure is logged, not raised."""
        grace_s = max(0.0, self._stop_by - time.monotonic())
        ended = await self._within(name, part.stop(0.0 if self._hurry.is_set() else grace_s), grace_s + 5)
        if not ended:
            await self._within(name, part.stop(0.0), 5)

    async def _within(self, name: str, stop: Awaitable[None], limit_s: float) -> bool:
        """True when `stop` has returned, or failed; False when it was cut off by time or by a second signal."""
        ending = asyncio.ensure_future(stop)
        waits: set[asyncio.Future[Any]] = {ending}
        if not self._hurry.is_set():
            waits.add(asyncio.ensure_future(self._hurry.wait()))
        try:
            await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits - {ending}:
                wait.cancel()
        if not ending.done():
            ending.cancel()
            await asyncio.wait({ending}, timeout=1)
            log.warning("cut_off", part=name)
            return False
        if not ending.cancelled() and (error := ending.exception()):
            log.error("failed_to_stop", part=name, error=repr(error))
        return True

    @contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def received() -> None:
            self.request_stop()
            if self._signals == 2:
                for number in _SIGNALS:
                    loop.remove_signal_handler(number)

        for number in _SIGNALS:
            loop.add_signal_handler(number, received)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def _frontends(config: Config, scanner: Scanner) -> Iterator[tuple[str, Part]]:
    """The enabled ways in, by name, in the order in which they start."""
    if config.smtp.enabled:
        from spamfilter.frontends.smtp import SmtpFrontend

        maildir, quarantine = config.path(config.smtp.maildir), config.path(config.smtp.quarantine)
        yield "smtp", SmtpFrontend(config.smtp, scanner, config.markup, maildir, quarantine)
    if config.folder.enabled:
        from spamfilter.frontends.folder import FolderFrontend

        limit = config.engine.max_message_mib * MIB
        yield "folder", FolderFrontend(config.folder, config.path(config.folder.path), scanner, config.markup, limit)


def _sampler(config: Config, pool: EnginePool) -> Sampler:
    """What keeps a share of the mail as samples. Raises StoreError."""
    store = SampleStore(
        store_url(config.store.url, config.state_dir.absolute()),
        seal=sealer(config.path(config.learn.key)),
        keep=config.sampling.keep,
        days=config.sampling.days,
        retention_days=config.store.retention_days,
    )
    return Sampler(pool, store, share=config.sampling.share)


def _ways_to_learn(config: Config, learn: Learn) -> Iterator[tuple[str, Part]]:
    """Folders in which people teach, by name. They take no mail: alone they are nothing to serve."""
    limit = config.engine.max_message_mib * MIB
    if config.learn.folders.enabled:
        from spamfilter.frontends.learn import LearnFolders

        folders = config.learn.folders
        path, days = config.path(folders.path), config.learn.retention_days
        yield "learn.folders", LearnFolders(folders, path, learn, limit, done_days=days)
    if config.learn.maildir.maildirs:
        from spamfilter.frontends.learn import MaildirWatch

        yield "learn.maildir", MaildirWatch(config.learn.maildir, config.path("learn-index"), learn, limit)


def _console(config: Config, scanner: Scanner, engine: EnginePool, teacher: Teacher) -> Console:
    """The pages, and what stands behind them."""
    from spamfilter.console import Console
    from spamfilter.console.services import Security, Services
    from spamfilter.store.audit import Audit

    database = store_url(config.store.url, config.state_dir.absolute())
    return Console(
        Services(
            config=config,
            scanner=scanner,
            engine=engine,
            database=database,
            audit=Audit(database),
            learn=teacher.learn,
            undo=teacher.undo,
            security=Security.of(config),
        )
    )


def notify(state: str) -> None:
    """Tell the service manager, if there is one: sd_notify(3). Never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.connect("\0" + address[1:] if address.startswith("@") else address)
            to.sendall(state.encode())
    except OSError as error:
        log.warning("service_manager_not_told", state=state, error=str(error))


def _explained(error: OSError, name: str, config: Config) -> str:
    """A failed start in one line, with the option to change."""
    what = error.strerror or str(error)
    if name == "smtp":
        listen = config.smtp.listen
        if error.errno == errno.EADDRINUSE:
            other = "another path" if listen.path else f"{listen.host}:{listen.port + 1}"
            return f"smtp.listen {listen} is in use by another program; stop that, or --set smtp.listen={other}"
        if error.errno in (errno.EACCES, errno.EPERM) and listen.port and listen.port < 1024:
            return f"smtp.listen {listen}: ports below 1024 need CAP_NET_BIND_SERVICE; set smtp.listen to a higher one"
        if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            return f"smtp.listen {listen} is no address of this machine: {what}; change smtp.listen"
        return f"smtp.listen {listen}, smtp.maildir {config.path(config.smtp.maildir)}: {error}"
    if name == "folder":
        if error.errno in (errno.ENOSPC, errno.EMFILE):
            return f"folder.path: no more watches ({what}); raise sysctl fs.inotify.max_user_watches and _instances"
        return f"folder.path {config.path(config.folder.path)}: {error}; set folder.path to one that can be written"
    if name == "console":
        listen = config.console.listen
        if error.errno == errno.EADDRINUSE:
            return (
                f"console.listen {listen} is in use by another program; stop that, or "
                f"--set console.listen={listen.host}:{listen.port + 1}, or --set console.enabled=false"
            )
        return f"console.listen {listen}: {what}; change console.listen, or set console.enabled to false"
    return f"the {name} did not start: {error}"
