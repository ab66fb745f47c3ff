"""The console as a part of the daemon: a uvicorn server in the daemon's own loop, without signals of its own."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Iterator

import structlog
import uvicorn

from spamfilter.config import Address, ConfigError
from spamfilter.console.app import application
from spamfilter.console.aside import aside
from spamfilter.console.connections import MOST_ANSWERED, Connection
from spamfilter.console.security.caller import is_loopback
from spamfilter.console.services import Services

_BACKLOG = 128
_CUT_S = 1.0

log = structlog.get_logger(__name__)


class Console:
    """A daemon's part. `address` is where it listens, `origin` what goes before a path in a browser."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.address: Address = services.settings.listen

    @property
    def origin(self) -> str:
        """Such as http://127.0.0.1:11380."""
        scheme = "https" if self._services.settings.tls_certificate else "http"
        return f"{scheme}://{self.address}"

    @property
    def link(self) -> str:
        """The address to open: the sign-in link of this machine, or the origin where accounts are asked for."""
        return self._services.security.link.url or self.origin

    async def start(self) -> None:
        """Listen. Raises ConfigError where strangers could come in or the certificate is none.

        Raises OSError where the address cannot be had.
        """
        settings = self._services.settings
        loopback = is_loopback(settings.listen.host)
        self._services.stopping.clear()
        self._require_a_way_in(loopback)
        server = _Server(self._config())
        listening = await aside(_listen, settings.listen)
        try:
            self.address = settings.listen.model_copy(update={"port": listening.getsockname()[1]})
            if loopback:
                await aside(self._services.security.link.begin, self.origin)
        except BaseException:
            listening.close()
            raise
        self._server = server
        self._serving = asyncio.create_task(server.serve(sockets=[listening]), name="console")
        up = asyncio.ensure_future(server.up.wait())
        await asyncio.wait({up, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        if not server.started:
            up.cancel()
            listening.close()
            self._serving.result()
            raise OSError("the console's server ended as it began")
        log.info("console.serving", origin=self.origin)

    async def stop(self, grace_s: float) -> None:
        """Take nothing new, end what streams, give the rest `grace_s`, and be gone."""
        self._services.stopping.set()
        if self._server is None or self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = max(0, math.floor(grace_s))
        self._server.should_exit = True
        await asyncio.wait({self._serving}, timeout=grace_s + _CUT_S)
        self._server.cut()
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        await aside(self._services.security.link.end)
        await aside(self._services.audit.close)
        self._server = self._serving = None

    def _config(self) -> uvicorn.Config:
        """Raises ConfigError."""
        settings, path = self._services.settings, self._services.config.path
        config = uvicorn.Config(
            application(self._services),
            loop="none",
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # `security.caller` reads them, and knows whom to believe
            server_header=False,
            limit_concurrency=MOST_ANSWERED,
            ssl_certfile=path(settings.tls_certificate) if settings.tls_certificate else None,
            ssl_keyfile=path(settings.tls_key) if settings.tls_key else None,
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(
                f"console.tls_certificate {path(settings.tls_certificate)}, console.tls_key {path(settings.tls_key)}: "
                f"{error.strerror or error}; both are PEM files that the daemon can read"
            ) from None
        return config

    def _require_a_way_in(self, loopback: bool) -> None:
        settings = self._services.settings
        if settings.listen.path:
            raise ConfigError(f"console.listen {settings.listen}: a browser needs HOST:PORT, such as 127.0.0.1:11380")
        if loopback or settings.proxy.header or self._services.security.accounts.all():
            return
        raise ConfigError(
            f"console.listen {settings.listen} can be reached by others, and nobody has an account: "
            "`spamfilter console user add NAME` makes one, console.proxy names a proxy that signs people in, "
            "console.listen: 127.0.0.1:11380 keeps it on this machine, console.enabled: false turns it off"
        )


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def cut(self) -> None:
        """Drop the connections that are still there."""
        for connection in [*self.server_state.connections]:
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


def _listen(address: Address) -> socket.socket:
    family, kind, protocol, _, found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening
