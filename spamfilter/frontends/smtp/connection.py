"""One client's connection: its command lines, our replies, its silence and its going.

aiosmtpd's protocol class is what is served: it meets the client, sets up its session and starts the task, and its table
of commands is the one that is looked into. Three parts of it are replaced. The command loop counts its timeout through
DATA and scanning and answers 500 to our own mistakes. Its end of a connection cancels what is going on, also when the
client only half-closes. Its streams and its constructor take longer than a short session's mail.
Nothing here is cancelled by the client: its going is seen at the next read or write, so that a message on its way to
the next hop is brought to its end and the log says how it ended.
Source: RFC 5321 4.5.3.2 (timeouts), RFC 2920 (pipelining).
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import structlog
from aiosmtpd import smtp
from aiosmtpd.smtp import SMTP

from spamfilter.frontends.smtp.data import ClientGoneError, DataParser, Inbox, LineTooLongError
from spamfilter.frontends.smtp.parameters import BadArgumentError
from spamfilter.frontends.smtp.reply import Reply
from spamfilter.frontends.smtp.wire import SilentError, Wire
from spamfilter.message import Peer

MAX_COMMAND = 4096
"""Bytes of a command line: 512 of RFC 5321 and what SMTPUTF8, DSN, AUTH= and XFORWARD add, generously."""
_MAX_MISTAKES = 20
_LINGER_S = 5.0
_log = structlog.get_logger(__name__)

_SHUTDOWN = Reply.of(421, "4.3.2 Service shutting down, try again later")
_SILENT = Reply.of(421, "4.4.2 Timeout, closing the connection")
_NOT_IMPLEMENTED = Reply.of(502, "5.5.1 Command not implemented")
_NOT_RECOGNISED = Reply.of(500, "5.5.2 Command not recognised")


class _DismissedError(Exception):
    """The frontend stops, and this session has nothing in work."""


class Connection(Wire, SMTP):
    """A connection that speaks SMTP; `Session` knows the commands, each a method `smtp_VERB(argument)`.

    `task` is its life, which ends when the connection is closed and nothing is in work. Bytes and the end of the
    connection reach `Wire`, which stands before `SMTP` for that: SMTP's own ways cancel the task.
    """

    # from `connection_made` on
    transport: asyncio.Transport
    session: smtp.Session
    task: asyncio.Task[None]
    _smtp_methods: dict[str, Callable[[Connection, str], Awaitable[None]]]

    def __init__(
        self,
        hostname: str,
        *,
        client_timeout_s: float,
        admit: Callable[[Connection], Reply | None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.__dict__.update(_set_up(type(self), hostname, client_timeout_s, loop))  # type: ignore[arg-type]
        Wire.__init__(self, loop)
        self._inbox = Inbox(self, client_timeout_s)
        self._admit = admit
        self._refusal: Reply | None = None
        self._peer = Peer("")
        self._mistakes = 0
        self._ending = False
        self._dismissed = False
        self._idle = False
        self._in_data = False

    # --- what a session tells -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _in_transaction(self) -> bool:
        """True between MAIL and the reply that ends what it began."""

    @abstractmethod
    def _abandon(self) -> None:
        """Forget everything about the transaction, and let the next hop go. Never raises."""

    # --- what the frontend asks -----------------------------------------------------------------------------------

    def dismiss(self) -> None:
        """End when the transaction in work is done; at once when there is none."""
        self._dismissed = True
        if self._idle:
            self.interrupt(_DismissedError())

    # --- the transport's side -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client; it is counted from here on."""
        SMTP.connection_made(self, transport)
        assert self._handler_coroutine is not None
        name: Any = self.session.peer  # said to be a str
        self._peer = Peer(name[0], name[1]) if isinstance(name, tuple) else Peer("")
        self.task = self._handler_coroutine
        self._refusal = self._admit(self)

    def _reset_timeout(self, duration: float | None = None) -> None:
        """SMTP starts its timer here; ours runs only while the client is waited for."""

    # --- the loop -------------------------------------------------------------------------------------------------

    async def _handle_client(self) -> None:
        try:
            if self._refusal is not None:
                self._farewell(self._refusal)
                return
            await self._answer(Reply.of(220, f"{self.hostname} ESMTP spamfilter"))
            while not self._ending:
                await self._one_command()
        except ClientGoneError:
            pass
        except SilentError:
            self._farewell(_SILENT)
        except _DismissedError:
            self._farewell(_SHUTDOWN)
        except asyncio.CancelledError:
            self._farewell(_SHUTDOWN)
            self.transport.abort()  # after what the socket could take of it
            raise
        finally:
            self._abandon()
            await self.finish(_LINGER_S)

    async def _one_command(self) -> None:
        if self._dismissed and not self._in_transaction:
            raise _DismissedError
        self._idle = not self._in_transaction
        try:
            line = await self._inbox.line(MAX_COMMAND)
        except LineTooLongError:
            await self._mistake(Reply.of(500, "5.5.2 Command line too long"))
            return
        finally:
            self._idle = False
        verb, _, rest = line.partition(b" ")
        command = verb.upper().decode("ascii", "replace")
        method = self._smtp_methods.get(command)
        if method is None:
            await self._mistake(_NOT_RECOGNISED)
            return
        try:
            await method(self, rest.strip().decode("utf-8", "surrogateescape"))
        except BadArgumentError as bad:
            await self._mistake(bad.reply)
        except (ClientGoneError, SilentError, _DismissedError):
            raise
        except Exception:
            _log.exception("smtp_command_failed", command=command, peer=self._peer.address)
            self._abandon()
            # what follows unread data must never be taken for commands
            await self._answer(Reply.of(421 if self._in_data else 451, "4.3.0 Internal error, try again later"))

    async def _answer(self, reply: Reply) -> None:
        """Send a reply; 421 ends the session. Raises ClientGoneError."""
        if self.lost:
            raise ClientGoneError
        self.transport.write(reply.wire)
        if reply.closing:
            self._ending = True
        if not self._full:
            return
        try:
            await self.drain(self.loop.time() + self._timeout_duration)
        except SilentError:
            self.transport.abort()
            raise ClientGoneError from None
        except OSError as error:
            raise ClientGoneError from error

    async def _mistake(self, reply: Reply) -> None:
        """Answer a command that makes no sense; too many of them end the session."""
        self._mistakes += 1
        if self._mistakes > _MAX_MISTAKES:
            reply = Reply.of(421, "4.7.0 Too many mistakes")
        await self._answer(reply)

    def _farewell(self, reply: Reply) -> None:
        if not self.lost and not self._ending:
            self.transport.write(reply.wire)

    def _gone(self) -> bool:
        return self.lost or self.at_end

    async def _read_data(self, parser: DataParser) -> None:
        """The data of one message, to their end."""
        self._in_data = True
        await self._inbox.data(parser)
        self._in_data = False

    # --- what SMTP knows and we do not offer ----------------------------------------------------------------------

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        """AUTH: whoever may connect is let in."""
        await self._mistake(_NOT_IMPLEMENTED)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        """STARTTLS: the road from the mail server to here is short."""
        await self._mistake(_NOT_IMPLEMENTED)

    async def smtp_EXPN(self, arg: str) -> None:  # noqa: N802
        """EXPN."""
        await self._mistake(_NOT_IMPLEMENTED)


@lru_cache(maxsize=2)
def _set_up(
    kind: type[Connection], hostname: str, client_timeout_s: float, loop: asyncio.AbstractEventLoop
) -> dict[str, Any]:
    """What SMTP's constructor gives to every connection alike.

    It looks through all names of the object for commands and the like, which costs a good part of a short session. So
    it is run once, and each connection gets a shallow copy: nothing that is used here changes what they then share.
    The commands in it are functions, not yet bound to a connection.
    """
    model = kind.__new__(kind)
    SMTP.__init__(
        model,
        None,
        hostname=hostname,
        timeout=client_timeout_s,
        enable_SMTPUTF8=True,
        auth_exclude_mechanism=("LOGIN", "PLAIN"),
        loop=loop,
    )
    # again, without the streams: `Wire` is in their place
    asyncio.StreamReaderProtocol.__init__(model, None, loop=loop)  # type: ignore[arg-type]
    found: dict[str, Any] = model._smtp_methods
    return {**vars(model), "_smtp_methods": {verb: method.__func__ for verb, method in found.items()}}
