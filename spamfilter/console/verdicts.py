"""Verdicts on request, for pages and programs: the same road as mail, with or without a line in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from spamfilter.classifier.explanation import Explanation
from spamfilter.console.services import Services
from spamfilter.correction import content_hash
from spamfilter.headers import fields
from spamfilter.message import Message
from spamfilter.policy import decide
from spamfilter.verdict import Decision, Disposition, Failure, FailureKind, Verdict

CHANNEL = "http"


async def reported(services: Services, message: Message) -> Decision:
    """The decision on a message that somebody else delivers: logged, as reported."""
    decision = await services.scanner.scan(message)
    services.scanner.settle(decision, Disposition.REPORTED)
    return decision


async def tried(services: Services, message: Message) -> Decision:
    """The decision that the message would get, without a line in the log: trying is no traffic."""
    if len(message.raw) > services.most_bytes:
        failure = Failure(FailureKind.TOO_LARGE, f"{len(message.raw)} bytes, limit {services.most_bytes}")
        return decide(message.id, failure, services.scanner.policy_of(""))
    outcome = await services.engine.score(message)
    model_id = "" if isinstance(outcome, Failure) else outcome.model_id
    return decide(message.id, outcome, services.scanner.policy_of(model_id))


def decision_as_json(services: Services, message: Message, decision: Decision, *, logged: bool) -> dict[str, Any]:
    """A decision as data for JSON: the schema `Verdict` of `openapi`."""
    outcome = decision.outcome
    verdict = outcome if isinstance(outcome, Verdict) else None
    return {
        "id": message.id,
        "kind": message.kind,
        "content": content_hash(message.raw, message.kind),
        "label": decision.label,
        "probability": decision.probability,
        "action": decision.action,
        "failure": None if verdict is not None else _failure(outcome),
        "thresholds": None if verdict is None else asdict(verdict.thresholds),
        "stages": {} if verdict is None else dict(verdict.score.stages),
        "model": None if verdict is None else verdict.score.model_id,
        "recalled": asdict(verdict.score.recalled) if verdict is not None and verdict.score.recalled else None,
        "timings_ms": {} if verdict is None else dict(verdict.score.timings),
        "headers": [{"name": name, "value": value} for name, value in fields(decision, services.config.markup)],
        "logged": logged,
    }


def explanation_as_json(explained: Explanation | Failure) -> dict[str, Any]:
    """An explanation, or why there is none, as data for JSON: the schema `Explanation` of `openapi`."""
    if isinstance(explained, Failure):
        return {"failure": _failure(explained)}
    reasons = [reason._asdict() for reason in explained.reasons()]
    return {"failure": None, "probability": explained.score.probability, "reasons": reasons, **explained.as_json()}


def _failure(outcome: object) -> Mapping[str, str] | None:
    return {"kind": outcome.kind, "detail": outcome.detail} if isinstance(outcome, Failure) else None
