"""One mail transaction, from MAIL to the reply to its final dot: a value that is dropped whole, so nothing leaks."""

from __future__ import annotations

from dataclasses import dataclass, field

from spamfilter.frontends.smtp.next_hop import Conversation
from spamfilter.frontends.smtp.parameters import PathArgument
from spamfilter.frontends.smtp.reply import Reply
from spamfilter.message import Envelope, Peer


@dataclass(slots=True)
class Transaction:
    """What MAIL and RCPT have settled so far. `recipients` are those that the next hop accepted.

    `broken` is set when the next hop was lost on the way; it is then the answer to all that follows.
    """

    sender: PathArgument
    conversation: Conversation | None
    protocol: str
    origin: Peer
    recipients: list[PathArgument] = field(default_factory=list)
    deferred: bool = False
    broken: Reply | None = None

    @property
    def envelope(self) -> Envelope:
        """As the scanner wants it; `origin` is the client that XFORWARD named, or the real one."""
        return Envelope(self.sender.address, tuple(r.address for r in self.recipients), self.origin)

    @property
    def utf8(self) -> bool:
        """True when MAIL had SMTPUTF8 (RFC 6531)."""
        return self.sender.value("SMTPUTF8") is not None

    def refuse_data(self) -> Reply | None:
        """Why DATA cannot start now, or None."""
        if self.broken is not None:
            return self.broken
        if self.recipients:
            return None
        if self.deferred:
            return Reply.of(451, "4.5.1 No valid recipients, but some may be tried again later")
        return Reply.of(554, "5.5.1 No valid recipients")
