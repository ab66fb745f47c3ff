"""What happens at the final dot. We never hold the only copy of a message.

A positive reply leaves here only when it is the next hop's own, or when the quarantine's file, its name and its
envelope are synced to the disk. Until then the message is the client's, and whatever goes wrong, also SIGKILL at any
instant, leaves it there. The one thing that cannot be excluded is a duplicate: the next hop has taken the message and
its answer, or ours, was lost. That is logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from spamfilter import headers
from spamfilter.frontends.smtp import received
from spamfilter.frontends.smtp.local import storage_failed
from spamfilter.frontends.smtp.next_hop import NextHopLostError
from spamfilter.frontends.smtp.reply import Reply
from spamfilter.frontends.smtp.transaction import Transaction
from spamfilter.headers import Markup
from spamfilter.message import Message, Peer
from spamfilter.scanner import Scanner
from spamfilter.store.maildir import Maildir
from spamfilter.verdict import Action, Decision, Disposition

_log = structlog.get_logger(__name__)
_Outcome = tuple[Reply, Disposition, str]


class Custody:
    """Scans a message, and hands it on or refuses it. `max_received` is the loop limit (RFC 5321 6.3)."""

    def __init__(self, scanner: Scanner, markup: Markup, quarantine: Maildir, *, max_received: int) -> None:
        self._scanner = scanner
        self._markup = markup
        self._quarantine = quarantine
        self._max_received = max_received

    async def take(self, content: bytes, transaction: Transaction, peer: Peer, gone: Callable[[], bool]) -> Reply:
        """The answer to the final dot. `gone` tells whether the client has hung up meanwhile.

        Settles the decision exactly once, also when cancelled. The conversation may be left in its transaction.
        """
        if received.circles(content, self._max_received):
            _log.warning("mail_loop", sender=transaction.sender.address, limit=self._max_received)
            return Reply.of(554, f"5.4.6 Mail loop: more than {self._max_received} Received fields")
        message = Message(content, "smtp", transaction.envelope)
        decision = await self._scanner.scan(message)
        disposition, detail = Disposition.FAILED, "interrupted"
        try:
            if gone():
                reply, disposition, detail = Reply.of(451, "4.4.2 Client gone"), Disposition.ABANDONED, "after scanning"
            else:
                reply, disposition, detail = await self._act(message, decision, transaction, peer)
        finally:
            self._scanner.settle(decision, disposition, detail)
            _log.info("message", id=message.id, action=str(decision.action), disposition=str(disposition), reply=detail)
        if reply.positive and gone():
            _log.warning("possible_duplicate", id=message.id, reason="client gone before it was told")
        return reply

    async def _act(self, message: Message, decision: Decision, transaction: Transaction, peer: Peer) -> _Outcome:
        match decision.action:
            case Action.ACCEPT | Action.TAG:
                return await self._hand_on(message, decision, transaction, peer)
            case Action.QUARANTINE:
                return await self._keep(message, decision, transaction, peer)
            case Action.REJECT:
                reply = Reply.of(550, f"5.7.1 Message refused as {decision.label or 'unwanted'} ({message.id})")
                return reply, Disposition.REJECTED, str(reply)
            case Action.TEMPFAIL:
                reply = Reply.of(451, f"4.7.1 Message not accepted now, try again later ({message.id})")
                return reply, Disposition.TEMPFAILED, str(reply)

    async def _hand_on(self, message: Message, decision: Decision, transaction: Transaction, peer: Peer) -> _Outcome:
        if transaction.conversation is None:
            raise RuntimeError("a message without a next hop")
        marked = self._marked(message, decision, transaction, peer)
        try:
            reply = await transaction.conversation.data(message.id, marked)
        except NextHopLostError as lost:
            if lost.in_doubt:
                _log.warning("possible_duplicate", id=message.id, reason=str(lost))
            return lost.reply, Disposition.NEXT_HOP_LOST, str(lost)
        return reply, Disposition.DELIVERED if reply.positive else Disposition.REFUSED, str(reply)

    async def _keep(self, message: Message, decision: Decision, transaction: Transaction, peer: Peer) -> _Outcome:
        marked = self._marked(message, decision, transaction, peer)
        envelope = {
            "id": message.id,
            "received_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": message.sha256,
            "mail_from": transaction.sender.address,
            "mail_parameters": list(transaction.sender.parameters),
            "rcpt_tos": [{"address": r.address, "parameters": list(r.parameters)} for r in transaction.recipients],
            "peer": {"address": peer.address, "port": peer.port, "name": peer.name},
            "label": decision.label,
            "probability": decision.probability,
        }
        try:
            kept = await asyncio.to_thread(self._quarantine.deliver, message.id, (marked,), envelope=envelope)
        except OSError as error:
            reply = storage_failed(error, message.id, self._quarantine)
            return reply, Disposition.FAILED, f"{reply} ({error.strerror or error})"
        return Reply.of(250, f"2.0.0 Ok: quarantined as {message.id}"), Disposition.QUARANTINED, kept.name

    def _marked(self, message: Message, decision: Decision, transaction: Transaction, peer: Peer) -> bytes:
        stamp = received.field(message, peer, transaction.protocol, self._markup.hostname)
        return stamp + headers.mark(message, decision, self._markup)
