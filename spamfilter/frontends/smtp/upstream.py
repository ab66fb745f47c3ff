"""The next hop as an SMTP server: a client that relays replies instead of judging them.

Written on asyncio's streams because client libraries raise on 4xx and 5xx, parse replies, and own the transaction;
here the transaction belongs to the client in front of us.
Source: RFC 5321 3.3 (transactions), 4.5.2 (transparency), 4.5.3.2 (timeouts).
"""

from __future__ import annotations

import asyncio
import time

import structlog

from spamfilter.config import Address
from spamfilter.frontends.smtp.capabilities import Capabilities
from spamfilter.frontends.smtp.next_hop import NextHopLostError
from spamfilter.frontends.smtp.parameters import PathArgument
from spamfilter.frontends.smtp.reply import BadReplyError, Reply, continues

_MAX_REPLY_LINES = 200
_WHOLE = 64 * 1024
_SLICE = 256 * 1024
_log = structlog.get_logger(__name__)


class SmtpNextHop:
    """A server at `address`. Times in seconds; `remember_s` is how long its EHLO is believed without a new one."""

    def __init__(
        self,
        address: Address,
        *,
        hostname: str,
        connect_timeout_s: float,
        reply_timeout_s: float,
        final_timeout_s: float,
        remember_s: float = 10.0,
    ) -> None:
        self.address = address
        self.hostname = hostname
        self.connect_timeout_s = connect_timeout_s
        self.reply_timeout_s = reply_timeout_s
        self.final_timeout_s = final_timeout_s
        self._remember_s = remember_s
        self._seen_at: float | None = None
        self._seen = Capabilities()

    @property
    def known(self) -> Capabilities | None:
        """What the latest connection offered, unless that was too long ago."""
        if self._seen_at is None or time.monotonic() - self._seen_at > self._remember_s:
            return None
        return self._seen

    @property
    def last_known(self) -> Capabilities:
        """What the latest connection offered, at whatever time."""
        return self._seen

    async def open(self) -> SmtpConversation:
        """Connect, be greeted, say EHLO. Raises NextHopLostError."""
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                if self.address.path:
                    reader, writer = await asyncio.open_unix_connection(self.address.path)
                else:
                    reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        except TimeoutError:
            raise self._absent(f"no connection to {self.address} within {self.connect_timeout_s:g} s") from None
        except OSError as error:
            raise self._absent(f"no connection to {self.address}: {error.strerror or error}") from None
        conversation = SmtpConversation(self, reader, writer)
        try:
            self._seen = await conversation.greet()
        except BaseException:
            self._seen_at = None
            conversation.abort()
            raise
        self._seen_at = time.monotonic()
        return conversation

    def _absent(self, detail: str) -> NextHopLostError:
        self._seen_at = None
        _log.warning("next_hop_absent", next_hop=str(self.address), detail=detail)
        return NextHopLostError("4.4.1", detail)


class SmtpConversation:
    """One connection. See `next_hop` for the contract."""

    def __init__(self, hop: SmtpNextHop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.capabilities = Capabilities()
        self._hop = hop
        self._reader = reader
        self._writer = writer
        self._dirty = False  # the server holds a sender, or XFORWARD attributes
        self._closed = False

    @property
    def closed(self) -> bool:
        """True when nothing more can be said, also because the server has hung up in the meantime."""
        return self._closed or self._reader.at_eof() or self._writer.is_closing()

    async def greet(self) -> Capabilities:
        """Read the greeting and say EHLO, or HELO where that is not known."""
        reply = await self._read("its greeting", self._hop.reply_timeout_s)
        if reply.positive:
            reply = await self._ask("EHLO", self._hop.hostname)
            if reply.positive:
                self.capabilities = Capabilities.of_reply(reply)
                return self.capabilities
            if reply.code // 100 == 5:
                reply = await self._ask("HELO", self._hop.hostname)
                if reply.positive:
                    return self.capabilities
        # A 5xx here is about this host or its configuration, never about a message: it must not bounce mail.
        raise NextHopLostError(
            "4.4.0", f"{self._hop.address} refuses to talk ({reply})", reply=reply if reply.closing else None
        )

    async def xforward(self, argument: str) -> Reply:
        """XFORWARD, verbatim."""
        self._dirty = True
        return await self._ask("XFORWARD", argument)

    async def mail(self, argument: PathArgument) -> Reply:
        """MAIL FROM."""
        reply = await self._ask("MAIL", b"FROM:" + argument.wire)
        self._dirty = self._dirty or reply.positive
        return reply

    async def rcpt(self, argument: PathArgument) -> Reply:
        """RCPT TO."""
        return await self._ask("RCPT", b"TO:" + argument.wire)

    async def data(self, message_id: str, content: bytes) -> Reply:
        """DATA, the content, the final dot."""
        if b"\r\n." in content:
            content = content.replace(b"\r\n.", b"\r\n..")
        if content.startswith(b"."):
            content = b"." + content
        reply = await self._ask("DATA", intermediate=True)
        if reply.negative:
            return reply
        if reply.code != 354:
            raise self._lost("4.5.0", f"{reply.code} instead of 354 to DATA")
        await self._send(content)
        try:
            reply = await self._read("the message", self._hop.final_timeout_s)
        except NextHopLostError as lost:
            lost.in_doubt = True
            raise
        self._dirty = False
        return reply

    async def reset(self) -> None:
        """RSET where there is something to give up; a server that will not is left."""
        if self.closed or not self._dirty:
            return
        self._dirty = False
        try:
            reply = await self._ask("RSET")
        except NextHopLostError:
            return
        if not reply.positive:
            self.close()

    def close(self) -> None:
        """QUIT, and close behind it."""
        if self._closed:
            return
        self._closed = True
        if not self._writer.is_closing():
            self._writer.write(b"QUIT\r\n")
        self._writer.close()

    def abort(self) -> None:
        """Drop the connection at once: a message that was not sent whole is never taken for whole."""
        self._closed = True
        self._writer.transport.abort()

    async def _ask(self, verb: str, argument: str | bytes = b"", *, intermediate: bool = False) -> Reply:
        if isinstance(argument, str):
            argument = argument.encode("utf-8", "surrogateescape")
        line = verb.encode() + (b" " + argument if argument else b"") + b"\r\n"
        try:
            self._writer.write(line)
            return await self._read(verb, self._hop.reply_timeout_s, intermediate=intermediate)
        except BaseException:
            self.abort()
            raise

    async def _send(self, content: bytes) -> None:
        """The stuffed content and the dot. Small mail goes out in one write; large mail never waits in a buffer."""
        try:
            if len(content) <= _WHOLE:
                self._writer.write(content + b".\r\n")
            else:
                view = memoryview(content)
                for start in range(0, len(view), _SLICE):
                    self._writer.write(view[start : start + _SLICE])
                    async with asyncio.timeout(self._hop.reply_timeout_s):
                        await self._writer.drain()
                self._writer.write(b".\r\n")
        except TimeoutError:
            raise self._lost("4.4.2", f"it stopped reading for {self._hop.reply_timeout_s:g} s", hung=True) from None
        except OSError as error:
            raise self._lost("4.4.2", f"lost while sending the message: {error}") from None
        except BaseException:
            self.abort()
            raise

    async def _read(self, to_what: str, timeout_s: float, *, intermediate: bool = False) -> Reply:
        lines: list[bytes] = []
        try:
            async with asyncio.timeout(timeout_s):
                while not lines or continues(lines[-1]):
                    lines.append((await self._reader.readuntil(b"\n")).rstrip(b"\r\n"))
                    if len(lines) > _MAX_REPLY_LINES:
                        raise BadReplyError(f"more than {_MAX_REPLY_LINES} lines")
            reply = Reply.parse(lines)
            if not (reply.positive or reply.negative or intermediate):
                raise BadReplyError(f"out of place: {reply}")
        except TimeoutError:
            raise self._lost("4.4.2", f"no reply to {to_what} within {timeout_s:g} s", hung=True) from None
        except (asyncio.IncompleteReadError, OSError):
            raise self._lost("4.4.2", f"connection lost, no reply to {to_what}") from None
        except (asyncio.LimitOverrunError, BadReplyError) as error:
            raise self._lost("4.5.0", f"no proper reply to {to_what}: {error}") from None
        except BaseException:
            self.abort()
            raise
        if reply.closing:
            self.close()
        return reply

    def _lost(self, status: str, detail: str, *, hung: bool = False) -> NextHopLostError:
        self.abort()
        _log.warning("next_hop_lost", next_hop=str(self._hop.address), detail=detail)
        return NextHopLostError(status, detail, hung=hung)
