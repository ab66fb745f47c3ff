"""A console on a free port over a real store and a scripted engine, and clients that are signed in."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from spamfilter import config
from spamfilter.config import Address
from spamfilter.console import Console, Services
from spamfilter.console.security.identity import COOKIE
from spamfilter.console.security.roles import Role, User
from spamfilter.console.services import Engine, Learn, Security, Undo
from spamfilter.policy import Policy
from spamfilter.scanner import Scanner
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from tests.console.fakes import FakeAudit
from tests.fakes import THRESHOLDS


@dataclass(frozen=True)
class Proxy:
    """As the configuration's section `console.proxy`."""

    header: str = ""
    trusted_peers: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()
    role: Role = Role.VIEWER


@dataclass(frozen=True)
class Settings:
    """As the configuration's section `console`, on a free port."""

    enabled: bool = True
    listen: Address = Address(host="127.0.0.1", port=0)  # noqa: RUF009  (it is frozen)
    hosts: Sequence[str] = ()
    tls_certificate: str = ""
    tls_key: str = ""
    session_idle_s: float = 3600.0
    session_s: float = 86_400.0
    runs: str = "runs"
    data: str = ""
    proxy: Proxy = field(default_factory=Proxy)

    def over(self, section: config.ConsoleSettings) -> config.ConsoleSettings:
        """The section with these values, unchecked: some tests set what no file may."""
        own = {**vars(self), "hosts": tuple(self.hosts)}
        proxy = {**vars(self.proxy), "trusted_peers": tuple(self.proxy.trusted_peers), "role": str(self.proxy.role)}
        return section.model_copy(update={**own, "proxy": section.proxy.model_copy(update=proxy)})


class Served:
    """A running console. `store` is its decision log, `audit` its book, `engine` what it asks."""

    def __init__(
        self,
        state_dir: Path,
        settings: Settings,
        engine: Engine,
        learn: Learn | None,
        undo: Undo | None,
        **options: Any,
    ) -> None:
        loaded = config.load(environ={}, state_dir=str(state_dir), **options)
        self.config = loaded.model_copy(update={"console": settings.over(loaded.console)})
        self.engine = engine
        self.audit = FakeAudit()
        url = store_url(self.config.store.url, state_dir)
        self.store = DecisionStore(url, retention_days=0)
        self.policy = Policy(THRESHOLDS)
        limit = self.config.engine.max_message_mib * config.MIB
        self.scanner = Scanner(engine, self.policy, self.store, max_message_bytes=limit)
        self.services = Services(
            config=self.config,
            scanner=self.scanner,
            engine=engine,
            database=url,
            audit=self.audit,
            learn=learn,
            undo=undo,
            security=Security.of(self.config),
        )
        self.console = Console(self.services)
        self._clients = AsyncExitStack()

    @property
    def origin(self) -> str:
        return self.console.origin

    async def start(self) -> None:
        self.store.open()
        await self.console.start()

    async def client(self, role: Role | str | None = None, **options: Any) -> httpx.AsyncClient:
        """A browser-like client; signed in as somebody of that role, or as nobody. `.csrf` holds its secret."""
        made = Browser(base_url=self.origin, timeout=30, **options)
        if role is not None:
            made.cookies.set(COOKIE, self.session(role))
            found = self.services.security.sessions.find(made.cookies[COOKIE])
            assert found is not None
            made.csrf = found.csrf
        return await self._clients.enter_async_context(made)

    def session(self, role: Role | str) -> str:
        """A session's cookie for a user called as the role."""
        return self.services.security.sessions.open(User(str(role), Role(role)))

    async def stop(self) -> None:
        await self._clients.aclose()
        await self.console.stop(1.0)
        self.store.close()


class Browser(httpx.AsyncClient):
    """Does not follow redirections; `post_form` and `post_json` bring the session's secret."""

    csrf = ""

    async def post_form(self, url: str, **fields: str) -> httpx.Response:
        return await self.post(url, data={"csrf": self.csrf, **fields})

    async def post_json(self, url: str, value: Any) -> httpx.Response:
        headers = {"X-CSRF-Token": self.csrf, "Accept": "application/json"}
        return await self.post(url, json=value, headers=headers)
