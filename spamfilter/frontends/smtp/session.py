"""The commands of one client's SMTP session, in lock step with the next hop.

MAIL opens the next hop, each RCPT is passed on as it comes, and the replies come back as they are; a message goes on
only when it was scanned. What the transaction knows is one value, dropped whole.
Source: RFC 5321 4.1, RFC 4954 5 (AUTH=), Postfix's XFORWARD_README.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from spamfilter.config import SmtpSettings
from spamfilter.frontends.smtp.capabilities import Capabilities, offer, unsupported
from spamfilter.frontends.smtp.connection import Connection
from spamfilter.frontends.smtp.custody import Custody
from spamfilter.frontends.smtp.data import Budget, DataParser, Fault
from spamfilter.frontends.smtp.next_hop import Conversation, NextHop, NextHopLostError
from spamfilter.frontends.smtp.parameters import PathArgument, parse_path, parse_xforward
from spamfilter.frontends.smtp.reply import Reply
from spamfilter.frontends.smtp.transaction import Transaction
from spamfilter.message import Peer

_NAME = re.compile(r"[\x21-\x7e]{1,255}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_OK = Reply.of(250, "2.0.0 Ok")
_GO_ON = Reply.of(354, "End data with <CR><LF>.<CR><LF>")
_BYE = Reply.of(221, "2.0.0 Bye")
_NO_ROOM = Reply.of(451, "4.3.1 Too much mail in work, try again later")
_FAULTS = {
    Fault.OVERLOAD: _NO_ROOM,
    Fault.TOO_LARGE: Reply.of(552, "5.3.4 Message too large"),
    Fault.BARE_NEWLINE: Reply.of(554, "5.6.0 Message refused: CR or LF on its own, lines must end with CRLF"),
}


@dataclass(frozen=True)
class House:
    """What all sessions of one frontend share. `max_size` in bytes."""

    settings: SmtpSettings
    hostname: str
    next_hop: NextHop
    custody: Custody
    budget: Budget
    max_size: int
    admit: Callable[[Connection], Reply | None]


class Session(Connection):
    """The commands of one client."""

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self._house = house
        self._conversation: Conversation | None = None
        self._transaction: Transaction | None = None
        self._forwarded: dict[str, str] = {}
        self._offered = Capabilities()
        super().__init__(house.hostname, client_timeout_s=house.settings.client_timeout_s, admit=house.admit, loop=loop)

    @property
    def _in_transaction(self) -> bool:
        return self._transaction is not None

    def _abandon(self) -> None:
        self._transaction = None
        self._forwarded = {}
        if self._conversation is not None:
            self._conversation.leave()
            self._conversation = None

    # --- greetings ------------------------------------------------------------------------------------------------

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802
        """HELO: no extensions."""
        if await self._greeted(hostname):
            self.session.extended_smtp = False
            self._offered = Capabilities()
            await self._answer(Reply.of(250, self.hostname))

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        """EHLO: what the next hop offers, as far as we can carry it."""
        if await self._greeted(hostname):
            self.session.extended_smtp = True
            self._offered = await self._capabilities()
            lines = offer(self._offered, max_size=self._house.max_size, trusted=self._trusted)
            await self._answer(Reply.of(250, self.hostname, *lines))

    async def _greeted(self, hostname: str) -> bool:
        if not _NAME.fullmatch(hostname):
            await self._mistake(Reply.of(501, "5.5.4 Syntax: EHLO hostname"))
            return False
        await self._end_transaction()
        self._peer = Peer(self._peer.address, self._peer.port, hostname)
        return True

    async def _capabilities(self) -> Capabilities:
        if self._conversation is not None and not self._conversation.closed:
            return self._conversation.capabilities
        if (known := self._house.next_hop.known) is not None:
            return known
        if (kept := self._idle_conversation()) is not None:
            return kept.capabilities
        try:
            return (await self._connected()).capabilities
        except NextHopLostError:
            return self._house.next_hop.last_known  # MAIL will say that there is nobody

    # --- the transaction ------------------------------------------------------------------------------------------

    async def smtp_XFORWARD(self, argument: str) -> None:  # noqa: N802
        """XFORWARD, for trusted peers and when the next hop knows it."""
        if not self._trusted:
            await self._mistake(Reply.of(550, "5.7.0 XFORWARD is not for you"))
        elif self._transaction is not None:
            await self._mistake(Reply.of(503, "5.5.1 XFORWARD comes before MAIL"))
        elif not argument or _CONTROL.search(argument):
            await self._mistake(Reply.of(501, "5.5.4 Syntax: XFORWARD attribute=value..."))
        else:
            try:
                reply = await self._forward(argument)
            except NextHopLostError as lost:
                self._forwarded = {}
                reply = lost.reply
            await self._answer(reply)

    async def _forward(self, argument: str) -> Reply:
        conversation = self._conversation
        if self._forwarded and conversation is not None and conversation.closed:
            raise NextHopLostError("4.4.2", "connection lost after XFORWARD")
        if conversation is not None and conversation.unproven:  # here it would be too late to find it dead
            conversation.leave()
            self._conversation = None
        conversation = await self._connected()
        if "XFORWARD" not in conversation.capabilities:
            return Reply.of(502, "5.5.1 XFORWARD is not known to the next hop")
        reply = await conversation.xforward(argument)
        if reply.positive:
            self._forwarded |= parse_xforward(argument) or {"": ""}
        return reply

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        """MAIL FROM: the next hop is connected to, and answers."""
        if not self._peer.name:
            await self._mistake(Reply.of(503, "5.5.1 Send EHLO first"))
            return
        if self._transaction is not None:
            await self._mistake(Reply.of(503, "5.5.1 Sender already given"))
            return
        sender = parse_path(arg, "FROM")
        if refused := self._refuse_parameters(sender):
            await self._answer(refused)
            return
        extended = "ESMTP" if sender.value("SMTPUTF8") is None else "UTF8SMTP"
        protocol = extended if self.session.extended_smtp else "SMTP"
        transaction = Transaction(sender, None, protocol, self._origin())
        try:
            reply = await self._open(transaction)
        except NextHopLostError as lost:
            reply = transaction.broken = lost.reply
            self._forwarded = {}
        if reply.positive or transaction.broken is not None:
            self._transaction = transaction
        await self._answer(reply)

    def _refuse_parameters(self, argument: PathArgument) -> Reply | None:
        if argument.parameters and not self.session.extended_smtp:
            return Reply.of(555, "5.5.4 Parameters need EHLO")
        if (keyword := unsupported(argument, self._offered)) is not None:
            return Reply.of(555, f"5.5.4 Unsupported parameter: {keyword}")
        size = argument.value("SIZE")
        if size is not None and not (size.isascii() and size.isdigit() and len(size) <= 20):
            return Reply.of(501, "5.5.4 Bad SIZE")
        if size is not None and int(size) > self._house.max_size:
            return _FAULTS[Fault.TOO_LARGE]
        return None

    async def _open(self, transaction: Transaction) -> Reply:
        """Say MAIL to the next hop, on a fresh connection when an idle one turns out to have been closed."""
        if self._forwarded:
            if self._conversation is None or self._conversation.closed:
                raise NextHopLostError("4.4.2", "connection lost after XFORWARD")
            return await self._mail(self._conversation, transaction)
        if (idle := self._idle_conversation()) is not None:
            try:
                reply = await self._mail(idle, transaction)
            except NextHopLostError as lost:
                if lost.hung:
                    raise
            else:
                if not reply.closing:
                    return reply
        return await self._mail(await self._connected(), transaction)

    async def _mail(self, conversation: Conversation, transaction: Transaction) -> Reply:
        sender = transaction.sender
        if refused := _outdated(sender, conversation):
            return refused
        if "AUTH" not in conversation.capabilities:
            sender = sender.without("AUTH")  # RFC 4954 5: not passed to servers without AUTH
        transaction.conversation = conversation
        return await conversation.mail(sender)

    async def _connected(self) -> Conversation:
        self._leave_if_closed()
        if self._conversation is None:
            self._conversation = await self._house.next_hop.open()
        return self._conversation

    def _idle_conversation(self) -> Conversation | None:
        """This session's conversation, or one that an earlier session has left clean; None when one must be opened."""
        self._leave_if_closed()
        if self._conversation is None:
            self._conversation = self._house.next_hop.kept()
        return self._conversation

    def _leave_if_closed(self) -> None:
        if self._conversation is not None and self._conversation.closed:
            self._conversation.leave()
            self._conversation = None

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        """RCPT TO: the next hop answers."""
        transaction = self._transaction
        if transaction is None:
            await self._mistake(Reply.of(503, "5.5.1 Send MAIL first"))
            return
        recipient = parse_path(arg, "TO")
        if transaction.broken is not None or transaction.conversation is None:
            await self._answer(transaction.broken or Reply.of(451, "4.3.0 Try again later"))
            return
        if len(transaction.recipients) >= self._house.settings.max_recipients:
            await self._answer(Reply.of(452, "4.5.3 Too many recipients"))
            return
        if refused := self._refuse_parameters(recipient):
            await self._answer(refused)
            return
        try:
            reply = _outdated(recipient, transaction.conversation) or await transaction.conversation.rcpt(recipient)
        except NextHopLostError as lost:
            reply = transaction.broken = lost.reply
        if reply.positive:
            transaction.recipients.append(recipient)
        elif reply.code < 500:
            transaction.deferred = True
        await self._answer(reply)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """DATA, to the reply to its final dot."""
        transaction = self._transaction
        if arg:
            await self._mistake(Reply.of(501, "5.5.4 Syntax: DATA"))
        elif transaction is None:
            await self._mistake(Reply.of(503, "5.5.1 Send MAIL first"))
        else:
            refused = transaction.refuse_data() or (_NO_ROOM if self._house.budget.exhausted else None)
            reply = refused or await self._message(transaction)
            await self._end_transaction()
            await self._answer(reply)

    async def _message(self, transaction: Transaction) -> Reply:
        parser = DataParser(self._house.max_size, self._house.budget)
        try:
            await self._answer(_GO_ON)
            await self._read_data(parser)
            content = parser.content()
            if parser.fault is not None:
                return _FAULTS[parser.fault]
            return await self._house.custody.take(content, transaction, self._peer, self._gone)
        finally:
            parser.release()

    async def _end_transaction(self) -> None:
        """Forget the transaction, here and at the next hop."""
        self._transaction = None
        self._forwarded = {}
        if self._conversation is not None:
            await self._conversation.reset()

    # --- the rest -------------------------------------------------------------------------------------------------

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802
        """RSET."""
        await self._end_transaction()
        await self._answer(_OK)

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: N802
        """NOOP."""
        await self._answer(_OK)

    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802
        """VRFY: RFC 5321 3.5.3 allows not to know."""
        await self._answer(Reply.of(252, "2.0.0 Cannot verify, but will take mail and try"))

    async def smtp_HELP(self, arg: str) -> None:  # noqa: N802
        """HELP."""
        await self._answer(Reply.of(214, "2.0.0 RFC 5321"))

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        """QUIT."""
        self._ending = True
        await self._answer(_BYE)

    def _origin(self) -> Peer:
        """The client that XFORWARD named, as far as it did; else our peer."""
        told = self._forwarded
        address = told.get("ADDR", self._peer.address)
        address = address[5:] if address.upper().startswith("IPV6:") else address
        port = told.get("PORT", "")
        name = told.get("HELO") or told.get("NAME") or self._peer.name
        return Peer(address, int(port) if port.isascii() and port.isdigit() else self._peer.port, name)

    @property
    def _trusted(self) -> bool:
        if not self._peer.address:
            return True  # a Unix socket: whoever may open it was let in by its permissions
        try:
            address = ipaddress.ip_address(self._peer.address.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._house.settings.trusted_peers)


def _outdated(argument: PathArgument, conversation: Conversation) -> Reply | None:
    """A temporary refusal of a parameter that the client was offered on the word of an earlier connection."""
    keyword = unsupported(argument, conversation.capabilities)
    if keyword is None:
        return None
    return Reply.of(451, f"4.4.0 The next hop no longer offers what {keyword} needs, try again")
