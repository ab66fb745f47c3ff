"""Everything that a page may ask, in one value, which the composition root fills; no page reaches past it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sqlalchemy.engine import URL

from spamfilter.classifier.explanation import Explanation
from spamfilter.config import MIB, Config, ConsoleSettings
from spamfilter.console.aside import aside
from spamfilter.console.security.accounts import Accounts
from spamfilter.console.security.link import SignInLink
from spamfilter.console.security.login import LoginLimit
from spamfilter.console.security.sessions import Sessions
from spamfilter.console.security.tokens import Tokens
from spamfilter.correction import Provenance
from spamfilter.learning import Learned
from spamfilter.message import Message
from spamfilter.scanner import Scanner
from spamfilter.store.history import History
from spamfilter.verdict import Failure, Label, Score

FOLDER = "console"
"""Below `state_dir`: accounts, tokens, the sign-in link."""

HASHED_AT_ONCE = 2
_FORM_BYTES = 64 * 1024

Learn = Callable[[Message, Label | None, Provenance], Awaitable[Learned | Failure]]
"""Records a correction; None as the label forgets it. What it raises is shown to the person."""
Undo = Callable[[str, Provenance], Awaitable[Learned]]
"""Takes back the last correction of a content; the one before it stands again."""
T = TypeVar("T")


class Engine(Protocol):
    """The model in service, in processes of its own. Neither call raises, except CancelledError."""

    async def score(self, message: Message) -> Score | Failure: ...

    async def explain(self, message: Message) -> Explanation | Failure: ...


class Audit(Protocol):
    """The list of what people did here: `store.audit.Audit`. Called beside the event loop; both may block."""

    def note(self, who: str, role: str, action: str, subject: str, detail: str | None, address: str | None) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Security:
    """Who may come in. `hashing` is held while a password is hashed: each costs 32 MiB."""

    accounts: Accounts
    tokens: Tokens
    sessions: Sessions
    link: SignInLink
    limit: LoginLimit
    hashing: asyncio.Semaphore

    @classmethod
    def of(cls, config: Config) -> Security:
        """The accounts and tokens in `state_dir`, and nobody signed in."""
        folder = config.path(FOLDER)
        sessions = Sessions(config.console.session_idle_s, config.console.session_s)
        return cls(
            Accounts(folder),
            Tokens(folder),
            sessions,
            SignInLink(folder),
            LoginLimit(),
            asyncio.Semaphore(HASHED_AT_ONCE),
        )


@dataclass(frozen=True, slots=True)
class Services:
    """What stands behind the pages. `learn` and `undo` are None where nothing can be taught.

    `database` is the store's address, for readers of their own kind; `read` is the short way to the decision log.
    `stopping` is set when the daemon stops: whatever streams has to end then.
    """

    config: Config
    scanner: Scanner
    engine: Engine
    database: URL
    audit: Audit
    learn: Learn | None
    security: Security
    undo: Undo | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> ConsoleSettings:
        """The configuration's section `console`."""
        return self.config.console

    @property
    def most_bytes(self) -> int:
        """The largest message that is scanned, and so the largest that is taken."""
        return self.config.engine.max_message_mib * MIB

    @property
    def most_body_bytes(self) -> int:
        """The largest body of a request: a form with the largest message."""
        return self.most_bytes + _FORM_BYTES

    async def read(self, ask: Callable[[History], T]) -> T:
        """What `ask` makes of the decision log, in a thread of its own. Raises StoreError."""

        def asked() -> T:
            with History(self.database) as history:
                return ask(history)

        return await aside(asked)
