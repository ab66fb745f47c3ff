"""From what was found to what is done: pure functions of a score and the admin's policy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from spamfilter.verdict import Action, Decision, Failure, FailureKind, Label, Score, Thresholds, Verdict

_TAG_ALL: Mapping[Label, Action] = {label: Action.TAG for label in Label}
_FAILURE_DEFAULTS: Mapping[FailureKind, Action] = {
    FailureKind.TIMEOUT: Action.ACCEPT,
    FailureKind.OVERLOAD: Action.TEMPFAIL,
    FailureKind.UNPARSABLE: Action.ACCEPT,
    FailureKind.TOO_LARGE: Action.ACCEPT,
    FailureKind.ENGINE_DOWN: Action.TEMPFAIL,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds, and the action for each label and each kind of failure.

    Failures may only be accepted (marked `unscanned`) or tempfailed: a message that nobody read is never
    rejected or called spam.
    """

    thresholds: Thresholds
    actions: Mapping[Label, Action] = field(default_factory=lambda: dict(_TAG_ALL))
    failures: Mapping[FailureKind, Action] = field(default_factory=lambda: dict(_FAILURE_DEFAULTS))

    def __post_init__(self) -> None:
        for kind, action in self.failures.items():
            if action not in (Action.ACCEPT, Action.TEMPFAIL):
                raise ValueError(f"policy.failures.{kind}: {action} is not possible, only accept or tempfail")


def judge(score: Score, thresholds: Thresholds) -> Verdict:
    """Read a score against thresholds."""
    if score.probability >= thresholds.spam_at:
        label = Label.SPAM
    elif score.probability >= thresholds.unsure_at:
        label = Label.UNSURE
    else:
        label = Label.HAM
    return Verdict(label, score, thresholds)


def decide(message_id: str, outcome: Score | Failure, policy: Policy) -> Decision:
    """The action for one scanned, or not scannable, message. Never raises."""
    if isinstance(outcome, Score) and math.isnan(outcome.probability):
        outcome = Failure(FailureKind.ENGINE_DOWN, "the model's answer is not a number")
    if isinstance(outcome, Failure):
        return Decision(message_id, outcome, policy.failures.get(outcome.kind, Action.TEMPFAIL))
    verdict = judge(outcome, policy.thresholds)
    return Decision(message_id, verdict, policy.actions.get(verdict.label, Action.TAG))
