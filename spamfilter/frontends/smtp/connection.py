"""One client's connection: its command lines, our replies, its silence and its going.

A subclass of aiosmtpd's protocol class with the command loop replaced: the stock one counts its timeout through DATA
and scanning, answers 500 to our own mistakes, and cancels what is going on when the client half-closes.
Nothing here is cancelled by the client: its going is seen at the next read or write, so that a message on its way to
the next hop is brought to its end and the log says how it ended.
Source: RFC 5321 4.5.3.2 (timeouts), RFC 2920 (pipelining).
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import ClassVar

import structlog
from aiosmtpd.smtp import SMTP

from spamfilter.frontends.smtp.data import ClientGoneError, DataParser, Inbox, LineTooLongError
from spamfilter.frontends.smtp.parameters import BadArgumentError
from spamfilter.frontends.smtp.reply import Reply
from spamfilter.message import Peer

MAX_COMMAND = 4096
"""Bytes of a command line: 512 of RFC 5321 and what SMTPUTF8, DSN, AUTH= and XFORWARD add, generously."""
_MAX_MISTAKES = 20
_LINGER_S = 5.0
_UNSPOKEN = ("AUTH", "STARTTLS", "EXPN")
_log = structlog.get_logger(__name__)

_SHUTDOWN = Reply.of(421, "4.3.2 Service shutting down, try again later")


class _ClientSilentError(Exception):
    """No byte from the client for too long."""


class _DismissedError(Exception):
    """The frontend stops, and this session has nothing in work."""


class _Wait(Enum):
    """What a session waits for, as far as the client's timeout is concerned."""

    NOT_CLIENT = auto()
    TO_READ = auto()
    TO_WRITE = auto()


class Connection(SMTP):
    """A connection that speaks SMTP; `Session` knows the commands.

    `task` is its life, which ends when the connection is closed and nothing is in work.
    """

    task: asyncio.Task[None]  # from `connection_made` on
    _commands: ClassVar[tuple[str, ...]] = ()
    line_length_limit = 64 * 1024  # of the StreamReader: it stops reading from the socket at twice this

    def __init__(
        self,
        hostname: str,
        *,
        client_timeout_s: float,
        admit: Callable[[Connection], Reply | None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._admit = admit
        self._refusal: Reply | None = None
        self._peer = Peer("")
        self._mistakes = 0
        self._closing = False
        self._lost = False
        self._dismissed = False
        self._idle = False
        self._in_data = False
        self._wait = _Wait.NOT_CLIENT
        self._heard = 0.0
        super().__init__(None, hostname=hostname, timeout=client_timeout_s, enable_SMTPUTF8=True, loop=loop)
        for verb in _UNSPOKEN:
            self._smtp_methods[verb] = self._not_implemented

    def __init_subclass__(cls) -> None:
        cls._commands = tuple(name for name in dir(cls) if name.startswith("smtp_"))

    def __dir__(self) -> tuple[str, ...]:
        # The stock class looks through dir(self) twice a connection; the commands are all that it should find, and
        # all else cost it most of the time of a short session.
        return self._commands

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
            self._reader.set_exception(_DismissedError())

    # --- the transport's side -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client; it is counted from here on."""
        super().connection_made(transport)
        assert self._handler_coroutine is not None
        self.task = self._handler_coroutine
        self._refusal = self._admit(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._heard = self.loop.time()
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """The client will send no more; what it sent is still answered."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; whoever reads or writes next will see it."""
        self._lost = True
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        asyncio.StreamReaderProtocol.connection_lost(self, error)

    def _timeout_cb(self) -> None:
        # One lazy timer a session: it looks how long the client has been silent, and sleeps for the rest.
        silent = self.loop.time() - self._heard if self._wait is not _Wait.NOT_CLIENT else 0.0
        if silent < self._timeout_duration:
            self._reset_timeout(self._timeout_duration - silent)
        elif self._wait is _Wait.TO_READ:
            self._reader.set_exception(_ClientSilentError())
        else:
            self._writer.transport.abort()

    # --- the loop -------------------------------------------------------------------------------------------------

    async def _handle_client(self) -> None:
        self._inbox = Inbox(self._reader)
        name = self._writer.get_extra_info("peername")
        self._peer = Peer(name[0], name[1]) if isinstance(name, tuple) else Peer("")
        try:
            if self._refusal is not None:
                self._farewell(self._refusal)
                return
            await self._answer(Reply.of(220, f"{self.hostname} ESMTP spamfilter"))
            while not self._closing:
                await self._one_command()
        except ClientGoneError:
            pass
        except _ClientSilentError:
            self._farewell(Reply.of(421, "4.4.2 Timeout, closing the connection"))
        except _DismissedError:
            self._farewell(_SHUTDOWN)
        except asyncio.CancelledError:
            self._farewell(_SHUTDOWN)
            self._writer.transport.abort()  # after what the socket could take of it
            raise
        finally:
            self._abandon()
            await self._close()

    async def _one_command(self) -> None:
        if self._dismissed and not self._in_transaction:
            raise _DismissedError
        self._idle = not self._in_transaction
        try:
            with self._waiting(_Wait.TO_READ):
                line = await self._inbox.line(MAX_COMMAND)
        except LineTooLongError:
            await self._mistake(Reply.of(500, "5.5.2 Command line too long"))
            return
        finally:
            self._idle = False
        verb, _, rest = line.partition(b" ")
        command = verb.decode("ascii", "replace").upper()
        method: Callable[[str], Awaitable[None]] | None = self._smtp_methods.get(command)
        if method is None:
            await self._mistake(Reply.of(500, "5.5.2 Command not recognised"))
            return
        try:
            await method(rest.strip().decode("utf-8", "surrogateescape"))
        except BadArgumentError as bad:
            await self._mistake(bad.reply)
        except (ClientGoneError, _ClientSilentError, _DismissedError):
            raise
        except Exception:
            _log.exception("smtp_command_failed", command=command, peer=self._peer.address)
            self._abandon()
            # what follows unread data must never be taken for commands
            await self._answer(Reply.of(421 if self._in_data else 451, "4.3.0 Internal error, try again later"))

    @contextmanager
    def _waiting(self, wait: _Wait) -> Iterator[None]:
        self._heard = self.loop.time()
        self._wait = wait
        try:
            yield
        finally:
            self._wait = _Wait.NOT_CLIENT

    async def _answer(self, reply: Reply) -> None:
        """Send a reply; 421 ends the session. Raises ClientGoneError."""
        if self._lost:
            raise ClientGoneError
        self._writer.write(reply.wire)
        if reply.closing:
            self._closing = True
        with self._waiting(_Wait.TO_WRITE):
            try:
                await self._writer.drain()
            except OSError as error:
                raise ClientGoneError from error

    async def _mistake(self, reply: Reply) -> None:
        """Answer a command that makes no sense; too many of them end the session."""
        self._mistakes += 1
        if self._mistakes > _MAX_MISTAKES:
            reply = Reply.of(421, "4.7.0 Too many mistakes")
        await self._answer(reply)

    def _farewell(self, reply: Reply) -> None:
        if not self._lost and not self._closing:
            self._writer.write(reply.wire)

    async def _close(self) -> None:
        """Close, and wait until what was written has left, but not for ever."""
        self._writer.close()
        try:
            async with asyncio.timeout(_LINGER_S):
                await self._writer.wait_closed()
        except TimeoutError:
            self._writer.transport.abort()
        except OSError:
            pass

    def _gone(self) -> bool:
        return self._lost or self._inbox.at_end

    async def _read_data(self, parser: DataParser) -> None:
        """The data of one message, to their end."""
        with self._waiting(_Wait.TO_READ):
            self._in_data = True
            await self._inbox.data(parser)
            self._in_data = False

    async def _not_implemented(self, arg: str) -> None:
        await self._mistake(Reply.of(502, "5.5.1 Command not implemented"))
