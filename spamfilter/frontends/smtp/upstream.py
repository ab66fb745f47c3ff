"""The next hop as an SMTP server: a client that relays replies instead of judging them.

Written on a bare protocol because client libraries raise on 4xx and 5xx, parse replies, and own the transaction; here
the transaction belongs to the client in front of us.
Source: RFC 5321 3.3 (transactions), 4.5.2 (transparency), 4.5.3.2 (timeouts).
"""

from __future__ import annotations

import asyncio
import time

import structlog

from spamfilter.config import Address
from spamfilter.frontends.smtp.capabilities import Capabilities
from spamfilter.frontends.smtp.keep import Keep, Kept
from spamfilter.frontends.smtp.next_hop import NextHopLostError
from spamfilter.frontends.smtp.parameters import PathArgument
from spamfilter.frontends.smtp.reply import BadReplyError, Reply, cut
from spamfilter.frontends.smtp.wire import SilentError, Wire

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
        keep: Keep,
    ) -> None:
        self.address = address
        self.hostname = hostname
        self.connect_timeout_s = connect_timeout_s
        self.reply_timeout_s = reply_timeout_s
        self.final_timeout_s = final_timeout_s
        self._remember_s = remember_s
        self._seen_at: float | None = None
        self._seen = Capabilities()
        self._kept: Kept[SmtpConversation] = Kept(keep)

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
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                if self.address.path:
                    _, wire = await loop.create_unix_connection(lambda: Wire(loop), self.address.path)
                else:
                    _, wire = await loop.create_connection(lambda: Wire(loop), self.address.host, self.address.port)
        except TimeoutError:
            raise self._absent(f"no connection to {self.address} within {self.connect_timeout_s:g} s") from None
        except OSError as error:
            raise self._absent(f"no connection to {self.address}: {error.strerror or error}") from None
        conversation = SmtpConversation(self, wire)
        try:
            self._seen = await conversation.greet()
        except BaseException:
            self._seen_at = None
            conversation.abort()
            raise
        self._seen_at = time.monotonic()
        return conversation

    def kept(self) -> SmtpConversation | None:
        """See `NextHop`."""
        conversation = self._kept.take()
        if conversation is not None:
            conversation.unproven = True
        return conversation

    def keep(self, conversation: SmtpConversation) -> bool:
        """Keep a clean one for another session; False when there is no use or no room for it."""
        return self._kept.put(conversation)

    def close(self) -> None:
        """See `NextHop`."""
        self._kept.close()

    def _absent(self, detail: str) -> NextHopLostError:
        self._seen_at = None
        _log.warning("next_hop_absent", next_hop=str(self.address), detail=detail)
        return NextHopLostError("4.4.1", detail)


class SmtpConversation:
    """One connection. See `next_hop` for the contract."""

    def __init__(self, hop: SmtpNextHop, wire: Wire) -> None:
        self.capabilities = Capabilities()
        self.messages = 0
        """How many were sent over it, whatever the answer."""
        self.unproven = False
        """Kept, and not heard of since: the server may have left it, and then it is replaced at no loss."""
        self._hop = hop
        self._wire = wire
        self._dirty = False  # the server holds a sender, or XFORWARD attributes
        self._personal = False  # XFORWARD was spoken, or something refused: the next client must not inherit that
        self._closed = False

    @property
    def closed(self) -> bool:
        """True when nothing more can be said, also because the server has hung up in the meantime."""
        return self._closed or self._wire.closing

    @property
    def quiet(self) -> bool:
        """True when it is open and no word of the server waits to be read: a farewell, or an answer out of turn."""
        return not self.closed and not self._wire.held

    async def greet(self) -> Capabilities:
        """Read the greeting and say EHLO, or HELO where that is not known."""
        reply = await self._read("its greeting", self._hop.reply_timeout_s)
        if reply.positive:
            reply = await self._ask(b"EHLO", self._hop.hostname.encode())
            if reply.positive:
                self.capabilities = Capabilities.of_reply(reply)
                return self.capabilities
            if reply.code // 100 == 5:
                reply = await self._ask(b"HELO", self._hop.hostname.encode())
                if reply.positive:
                    return self.capabilities
        # A 5xx here is about this host or its configuration, never about a message: it must not bounce mail.
        raise NextHopLostError(
            "4.4.0", f"{self._hop.address} refuses to talk ({reply})", reply=reply if reply.closing else None
        )

    async def xforward(self, argument: str) -> Reply:
        """XFORWARD, verbatim."""
        self._dirty = self._personal = True
        return await self._ask(b"XFORWARD", argument.encode("utf-8", "surrogateescape"))

    async def mail(self, argument: PathArgument) -> Reply:
        """MAIL FROM."""
        reply = await self._ask(b"MAIL", b"FROM:" + argument.wire)
        self._dirty = self._dirty or reply.positive
        return reply

    async def rcpt(self, argument: PathArgument) -> Reply:
        """RCPT TO."""
        return await self._ask(b"RCPT", b"TO:" + argument.wire)

    async def data(self, message_id: str, content: bytes) -> Reply:
        """DATA, the content, the final dot."""
        if b"\r\n." in content:
            content = content.replace(b"\r\n.", b"\r\n..")
        if content.startswith(b"."):
            content = b"." + content
        self.messages += 1
        reply = await self._ask(b"DATA", intermediate=True)
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
            reply = await self._ask(b"RSET")
        except NextHopLostError:
            return
        if not reply.positive:
            self.close()

    def leave(self) -> None:
        """Keep it for another session when nothing of this one is in it, else close it."""
        if self._dirty or self._personal or not self._hop.keep(self):
            self.close()

    def close(self) -> None:
        """QUIT, and close behind it."""
        if self._closed:
            return
        self._closed = True
        if not self._wire.closing:
            self._wire.transport.write(b"QUIT\r\n")
        self._wire.transport.close()

    def abort(self) -> None:
        """Drop the connection at once: a message that was not sent whole is never taken for whole."""
        self._closed = True
        self._wire.transport.abort()

    async def _ask(self, verb: bytes, argument: bytes = b"", *, intermediate: bool = False) -> Reply:
        self._wire.transport.write(verb + b" " + argument + b"\r\n" if argument else verb + b"\r\n")
        return await self._read(verb.decode(), self._hop.reply_timeout_s, intermediate=intermediate)

    async def _send(self, content: bytes) -> None:
        """The stuffed content and the dot. Small mail goes out in one write; large mail never waits in a buffer."""
        wire = self._wire
        try:
            if len(content) <= _WHOLE:
                wire.transport.write(content + b".\r\n")
            else:
                view = memoryview(content)
                for start in range(0, len(view), _SLICE):
                    wire.transport.write(view[start : start + _SLICE])
                    await wire.drain(wire.loop.time() + self._hop.reply_timeout_s)
                wire.transport.write(b".\r\n")
        except SilentError:
            raise self._lost("4.4.2", f"it stopped reading for {self._hop.reply_timeout_s:g} s", hung=True) from None
        except OSError as error:
            raise self._lost("4.4.2", f"lost while sending the message: {error}") from None
        except BaseException:
            self.abort()
            raise

    async def _read(self, to_what: str, timeout_s: float, *, intermediate: bool = False) -> Reply:
        wire = self._wire
        until = wire.loop.time() + timeout_s
        try:
            while (reply := cut(wire.held)) is None:
                if not await wire.more(until):
                    raise self._lost("4.4.2", f"connection lost, no reply to {to_what}")
            if not (reply.positive or reply.negative or intermediate):
                raise BadReplyError(f"out of place: {reply}")
        except SilentError:
            raise self._lost("4.4.2", f"no reply to {to_what} within {timeout_s:g} s", hung=True) from None
        except BadReplyError as error:
            raise self._lost("4.5.0", f"no proper reply to {to_what}: {error}") from None
        except BaseException:
            self.abort()
            raise
        self.unproven = False
        if reply.negative:
            self._personal = True
            if reply.closing:
                self.close()
        return reply

    def _lost(self, status: str, detail: str, *, hung: bool = False) -> NextHopLostError:
        self.abort()
        report = _log.debug if self.unproven and not hung else _log.warning
        report("next_hop_lost", next_hop=str(self._hop.address), detail=detail)
        return NextHopLostError(status, detail, hung=hung)
