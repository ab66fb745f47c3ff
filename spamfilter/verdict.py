"""Frozen values that say what was found and what is to be done: Score, Verdict, Failure, Decision.

A failure is a value with a kind, never a score of 0: nobody downstream can mistake "not scanned" for "clean".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Label(StrEnum):
    """What the model says of a message."""

    HAM = "ham"
    UNSURE = "unsure"
    SPAM = "spam"


class FailureKind(StrEnum):
    """Why there is no verdict."""

    TIMEOUT = "timeout"
    OVERLOAD = "overload"
    UNPARSABLE = "unparsable"
    TOO_LARGE = "too_large"
    ENGINE_DOWN = "engine_down"


class Action(StrEnum):
    """What is done with a message.

    ACCEPT delivers it without our verdict headers (forged ones are still removed); TAG delivers it with them;
    QUARANTINE keeps it here, fsynced, and answers 250; REJECT answers 5xx; TEMPFAIL answers 4xx.
    """

    ACCEPT = "accept"
    TAG = "tag"
    QUARANTINE = "quarantine"
    REJECT = "reject"
    TEMPFAIL = "tempfail"


class Disposition(StrEnum):
    """What finally became of a message, for the decision log."""

    PENDING = "pending"
    DELIVERED = "delivered"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    TEMPFAILED = "tempfailed"
    REFUSED = "refused by next hop"
    NEXT_HOP_LOST = "next hop lost"
    ABANDONED = "client gone"
    FAILED = "failed"
    RELEASED = "released"  # from the quarantine, by hand
    DELETED = "deleted"  # from the quarantine, by hand
    REPORTED = "reported"  # scanned only: `spamfilter scan`, frontends without custody


@dataclass(frozen=True, slots=True)
class Recall:
    """A corrected message that this one is like: its label, when it was given, and how alike they are (0-1)."""

    content: str
    label: Label
    time: float
    similarity: float


@dataclass(frozen=True, slots=True)
class Score:
    """What the classifier returns: a calibrated probability (0-1) that this is spam.

    `stages` holds each stage's own probability by name (ngram, facts, gpt), without `gpt` where it was spared, and
    `memory` (1 or 0) where a corrected message like this one was remembered, which `recalled` then names; `content` is
    the message's `correction.content_hash`, by which people's labels find it, "" where it was not taken; `timings`
    milliseconds by step; `known` is True where the text's scores were at hand from a message before it.
    """

    probability: float
    stages: Mapping[str, float]
    model_id: str
    timings: Mapping[str, float] = field(default_factory=dict)
    known: bool = False
    recalled: Recall | None = None
    content: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """No verdict, and why. `detail` is for people."""

    kind: FailureKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities at and above which a message is unsure, or spam. 0 <= unsure_at <= spam_at <= 1."""

    unsure_at: float
    spam_at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score read against thresholds."""

    label: Label
    score: Score
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict or a failure, and the action that policy gave to it. `message_id` is `Message.id`."""

    message_id: str
    outcome: Verdict | Failure
    action: Action

    @property
    def label(self) -> Label | None:
        """The label, or None when the message could not be scanned."""
        return self.outcome.label if isinstance(self.outcome, Verdict) else None

    @property
    def probability(self) -> float | None:
        """The probability, or None when the message could not be scanned."""
        return self.outcome.score.probability if isinstance(self.outcome, Verdict) else None
