"""A decision as a row of the log: bounded, in text that every database takes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from spamfilter.message import Message, Peer
from spamfilter.store.parties import parties_of
from spamfilter.verdict import Decision, Disposition, Failure

Row = dict[str, Any]

_TEXT_LIMIT = 1_000
_RECIPIENT_LIMIT = 100


def decision_row(message: Message, decision: Decision) -> Row:
    """The row of a fresh decision, with disposition `pending`; bodies and subjects are not in it."""
    envelope = message.envelope
    mail_from = None if envelope.mail_from is None else bounded(envelope.mail_from)
    rcpt_tos = [bounded(to) for to in envelope.rcpt_tos[:_RECIPIENT_LIMIT]]
    peer = _peer(envelope.peer)
    row: Row = {
        "id": message.id,
        "time": datetime.now(UTC),
        "channel": message.channel,
        "mail_from": mail_from,
        "rcpt_tos": rcpt_tos,
        "peer": peer,
        "sha256": message.sha256,
        "content": None,
        "size": len(message.raw),
        "label": None,
        "probability": None,
        "stages": {},
        "unsure_at": None,
        "spam_at": None,
        "failure": None,
        "failure_detail": None,
        "action": decision.action.value,
        "model_id": None,
        "timings": {},
        "recalled": None,
        **settlement(Disposition.PENDING),
        "settled": None,
        "parties": parties_of(mail_from, peer, rcpt_tos),
    }
    outcome = decision.outcome
    if isinstance(outcome, Failure):
        row["failure"] = outcome.kind.value
        row["failure_detail"] = bounded(outcome.detail) or None
    else:
        row["label"] = outcome.label.value
        row["probability"] = float(outcome.score.probability)
        row["stages"] = {name: float(value) for name, value in outcome.score.stages.items()}
        row["timings"] = {name: round(float(value), 3) for name, value in outcome.score.timings.items()}
        row["content"] = outcome.score.content or None
        row["recalled"] = asdict(outcome.score.recalled) if outcome.score.recalled is not None else None
        row["model_id"] = bounded(outcome.score.model_id)[:128]
        row["unsure_at"] = outcome.thresholds.unsure_at
        row["spam_at"] = outcome.thresholds.spam_at
    return row


def settlement(disposition: Disposition, detail: str = "") -> Row:
    """The columns that say what became of a message, now."""
    return {
        "disposition": disposition.value,
        "disposition_detail": bounded(detail) or None,
        "settled": datetime.now(UTC),
    }


def bounded(value: str) -> str:
    """Text that every database takes: no lone surrogates, no NUL, of bounded length."""
    return value[:_TEXT_LIMIT].encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _peer(peer: Peer | None) -> str | None:
    return None if peer is None else bounded(f"{peer.name or 'unknown'}[{peer.address}]")
