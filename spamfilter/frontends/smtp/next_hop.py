"""Where mail goes on: the seam between our client's session and whatever stands behind us.

Two implementations: `upstream` speaks SMTP to a server, `local` delivers to a Maildir. The contract:

- A session opens one `Conversation` at most, and uses it for all its transactions, one after the other.
- `mail`, `rcpt`, `xforward` and `data` return the next hop's own reply, whatever it is among 2xx, 4xx and 5xx. When
  there is none, because the next hop is absent, hangs, goes away or talks nonsense, they raise NextHopLostError; the
  conversation is then closed, and the message was not accepted as far as anybody knows.
- A positive reply of `data` passes custody on: only then may our client be told that its message is taken.
- `reset` and `close` never raise. `reset` gives up the transaction, if there is one.
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

    def close(self) -> None:
        """Say goodbye, without waiting for an answer."""
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
