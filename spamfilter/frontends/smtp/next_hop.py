"""Where mail goes on: the seam between our client's session and whatever stands behind us.

Two implementations: `upstream` speaks SMTP to a server, `local` delivers to a Maildir. The contract:

- A session has one `Conversation` at most, and uses it for all its transactions, one after the other. It opens one, or
  takes over one that was `kept`: an earlier session had left it with nothing in it that is about that session's client.
  That such a one is dead shows at MAIL at the latest, and then MAIL may be said again on a new one; nothing else may.
- `mail`, `rcpt`, `xforward` and `data` return the next hop's own reply, whatever it is among 2xx, 4xx and 5xx. When
  there is none, because the next hop is absent, hangs, goes away or talks nonsense, they raise NextHopLostError; the
  conversation is then closed, and the message was not accepted as far as anybody knows.
- A positive reply of `data` passes custody on: only then may our client be told that its message is taken.
- `reset` and `leave` never raise. `reset` gives up the transaction, if there is one; `leave` is the session's last
  word, in whatever state the conversation is.
"""

from __future__ import annotations

from typing import Protocol

from spamfilter.frontends.smtp.capabilities import Capabilities
from spamfilter.frontends.smtp.parameters import PathArgument
from spamfilter.frontends.smtp.reply import Reply


class NextHopLostError(Exception):
    """The next hop gave no answer. `reply` is the 451 for our client, or the 421 that greeted us.

    `in_doubt` is true when the whole message had been sent: the next hop may have taken it, and our client will send
    it again. `hung` is true when it was a timeout that ended the wait.
    """

    def __init__(self, status: str, detail: str, *, reply: Reply | None = None, hung: bool = False) -> None:
        super().__init__(detail)
        self.in_doubt = False
        self.hung = hung
        self.reply = reply or Reply.of(451, f"{status} Next hop: {detail}; nothing was taken, try again later")


class Conversation(Protocol):
    """One connection to the next hop; see the contract above."""

    @property
    def capabilities(self) -> Capabilities:
        """What this connection offers."""
        ...

    @property
    def closed(self) -> bool:
        """True when nothing more can be said."""
        ...

    @property
    def unproven(self) -> bool:
        """True when it was kept and has not answered since: the next hop may have left it without a word."""
        ...

    async def xforward(self, argument: str) -> Reply:
        """XFORWARD with its attributes verbatim (Postfix's XFORWARD_README)."""
        ...

    async def mail(self, argument: PathArgument) -> Reply:
        """MAIL FROM."""
        ...

    async def rcpt(self, argument: PathArgument) -> Reply:
        """RCPT TO."""
        ...

    async def data(self, message_id: str, content: bytes) -> Reply:
        """The message, not dot-stuffed, its last line ended. The reply to DATA when that refuses, else to the dot."""
        ...

    async def reset(self) -> None:
        """Give up the transaction."""
        ...

    def leave(self) -> None:
        """The session does not need it any more: it is kept for another one when it is clean, else closed."""
        ...


class NextHop(Protocol):
    """Where conversations come from; one for all sessions."""

    @property
    def known(self) -> Capabilities | None:
        """What the next hop was lately seen to offer, or None."""
        ...

    @property
    def last_known(self) -> Capabilities:
        """What it offered when it was last there, however long ago; nothing when it never was."""
        ...

    async def open(self) -> Conversation:
        """Connect. Raises NextHopLostError."""
        ...

    def kept(self) -> Conversation | None:
        """A conversation that an earlier session has left clean, or None. It is the caller's now."""
        ...

    def close(self) -> None:
        """Leave all that is kept, and keep no more."""
        ...
