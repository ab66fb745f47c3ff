"""The one road: a Message goes in, a Decision comes out, and the log knows both.

Frontends know this class and nothing behind it. The contract for those who call it:

- `scan` never raises and always answers within the configured deadline; a failure is a Decision with a `Failure`.
- After acting on the decision the frontend calls `settle` once with what became of the message. A decision whose
  frontend died in between stays `pending` in the log, which is what an admin should see.
- Where reports are asked for, a decision is `headers.Reported`, at the latest REPORT_WAIT times `report_s` after it was
  made; what cannot be explained in that time goes on without.
- Neither takes custody: until the frontend has handed the bytes on, they are the sender's.

A score is read by the policy of the model that gave it: thresholds are a model's own, and while one model takes over
from another, scores of both arrive.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from spamfilter.classifier.explanation import Explanation
from spamfilter.headers import Report, Reported
from spamfilter.message import Message
from spamfilter.policy import Policy, decide
from spamfilter.verdict import Decision, Disposition, Failure, FailureKind, Score

_POLICIES_KEPT = 8
"""More than there are models at work at a time: two, and three when one is called off."""
REPORT_S = 0.3
"""Seconds that a report may take of a worker, which reads no mail meanwhile."""
REPORT_WAIT = 3.0
"""So many times as long a message waits for its report: workers explain when they have no mail to read."""


class Engine(Protocol):
    """Classifies messages somewhere else than on the event loop."""

    async def score(self, message: Message) -> Score | Failure:
        """A score or a failure within the deadline. Never raises, except CancelledError."""
        ...


class Explainer(Protocol):
    """Explains scores somewhere else than on the event loop."""

    async def explain(self, message: Message, seconds: float) -> Explanation | Failure:
        """Why a message gets its score, in `seconds` once its turn has come. Never raises, except CancelledError."""
        ...


class DecisionLog(Protocol):
    """Remembers decisions. Neither call blocks or raises."""

    def record(self, message: Message, decision: Decision) -> None:
        """Note a fresh decision, with disposition `pending`."""
        ...

    def settle(self, decision: Decision, disposition: Disposition, detail: str = "") -> None:
        """Note what finally became of the message."""
        ...


class Scanner:
    """Scores a message, applies the policy, logs the decision."""

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        log: DecisionLog,
        *,
        max_message_bytes: int,
        explainer: Explainer | None = None,
        report: Report = Report.NEVER,
        report_s: float = REPORT_S,
    ) -> None:
        """`explainer` makes the reports of the messages that `report` names; each may take `report_s` of its time."""
        self._explainer, self._report, self._report_s = explainer, report, report_s
        self._engine = engine
        self._policy = policy
        self._policies: dict[str, Policy] = {}
        self._log = log
        self._max_message_bytes = max_message_bytes

    async def scan(self, message: Message) -> Decision:
        """The decision for one message; see the contract above."""
        outcome: Score | Failure
        if len(message.raw) > self._max_message_bytes:
            outcome = Failure(FailureKind.TOO_LARGE, f"{len(message.raw)} bytes, limit {self._max_message_bytes}")
        else:
            try:
                outcome = await self._engine.score(message)
            except Exception as error:  # the contract: a broken engine is a failure value, never an exception
                outcome = Failure(FailureKind.ENGINE_DOWN, f"{type(error).__name__}: {error}"[:200])
        return await self._reported(message, self._decide(message, outcome))

    async def _reported(self, message: Message, decision: Decision) -> Decision:
        """The decision with its report, where one is asked for and can be had in time."""
        if self._explainer is None or not self._report.wants(decision):
            return decision
        try:
            async with asyncio.timeout(REPORT_WAIT * self._report_s):
                found = await self._explainer.explain(message, self._report_s)
        except Exception:  # a report is worth no mail: TimeoutError, or whatever is broken
            return decision
        if isinstance(found, Failure):
            return decision
        return Reported(decision.message_id, decision.outcome, decision.action, found.report())

    def without_scan(self, message: Message, failure: Failure) -> Decision:
        """The decision for a message that the frontend cannot hand over, of which `raw` may hold only the beginning."""
        return self._decide(message, failure)

    def _decide(self, message: Message, outcome: Score | Failure) -> Decision:
        policy = self.policy_of(outcome.model_id) if isinstance(outcome, Score) else self._policy
        decision = decide(message.id, outcome, policy)
        self._log.record(message, decision)
        return decision

    def policy_of(self, model_id: str) -> Policy:
        """By which the scores of a model are read; the current one for a model that was never named here."""
        return self._policies.get(model_id, self._policy)

    def serve(self, policy: Policy, model_id: str) -> None:
        """Read the scores of `model_id` by `policy`, also failures, and scores of models that were never named here.

        To be called before the model's first score arrives. Those of the models before it are still read by theirs.
        """
        self._policies.pop(model_id, None)
        self._policies[model_id] = self._policy = policy
        for old in [*self._policies][:-_POLICIES_KEPT]:
            del self._policies[old]

    def settle(self, decision: Decision, disposition: Disposition, detail: str = "") -> None:
        """What became of the message in the end."""
        self._log.settle(decision, disposition, detail)
