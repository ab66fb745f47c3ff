"""The next hop when there is none: a Maildir on this machine, fsynced before the message is said to be taken."""

from __future__ import annotations

import asyncio
import errno

import structlog

from spamfilter.frontends.smtp.capabilities import Capabilities
from spamfilter.frontends.smtp.parameters import PathArgument
from spamfilter.frontends.smtp.reply import Reply
from spamfilter.store.maildir import Maildir

_OFFERED = Capabilities({"PIPELINING": "", "8BITMIME": "", "SMTPUTF8": "", "ENHANCEDSTATUSCODES": "", "SIZE": ""})
_UNDERSTOOD = frozenset({"SIZE", "BODY", "SMTPUTF8"})
_FULL = (errno.ENOSPC, errno.EDQUOT)
_log = structlog.get_logger(__name__)


class LocalNextHop:
    """All recipients' mail goes to one Maildir."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir

    @property
    def known(self) -> Capabilities:
        """What local delivery can do."""
        return _OFFERED

    @property
    def last_known(self) -> Capabilities:
        """The same."""
        return _OFFERED

    async def open(self) -> LocalConversation:
        """Never fails."""
        return LocalConversation(self._maildir)

    def kept(self) -> None:
        """Nothing costs anything to open here."""
        return

    def close(self) -> None:
        """Nothing is open."""


class LocalConversation:
    """One session's deliveries. See `next_hop` for the contract."""

    closed = False
    unproven = False
    capabilities = _OFFERED

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir
        self._sender = ""

    async def xforward(self, argument: str) -> Reply:
        """Not known here."""
        return Reply.of(502, "5.5.1 XFORWARD is not known here")

    async def mail(self, argument: PathArgument) -> Reply:
        """Any sender."""
        if refused := _unknown(argument):
            return refused
        self._sender = argument.address
        return Reply.of(250, "2.1.0 Ok")

    async def rcpt(self, argument: PathArgument) -> Reply:
        """Any recipient."""
        return _unknown(argument) or Reply.of(250, "2.1.5 Ok")

    async def data(self, message_id: str, content: bytes) -> Reply:
        """Deliver one copy, with the Return-Path of final delivery (RFC 5321 4.4)."""
        return_path = f"Return-Path: <{self._sender}>\r\n".encode()
        try:
            await asyncio.to_thread(self._maildir.deliver, message_id, (return_path, content))
        except OSError as error:
            return storage_failed(error, message_id, self._maildir)
        return Reply.of(250, f"2.0.0 Ok: delivered as {message_id}")

    async def reset(self) -> None:
        """Forget the sender."""
        self._sender = ""

    def leave(self) -> None:
        """Nothing is open."""


def storage_failed(error: OSError, message_id: str, maildir: Maildir) -> Reply:
    """The temporary reply to a message that could not be written; the reason is logged, not told."""
    _log.error("mail_not_written", id=message_id, maildir=str(maildir.path), error=str(error))
    if error.errno in _FULL:
        return Reply.of(452, "4.3.1 No room to store the message, try again later")
    return Reply.of(451, "4.3.0 The message could not be stored, try again later")


def _unknown(argument: PathArgument) -> Reply | None:
    for keyword in argument.keywords:
        if keyword not in _UNDERSTOOD:
            return Reply.of(555, f"5.5.4 Unsupported parameter: {keyword}")
    return None
