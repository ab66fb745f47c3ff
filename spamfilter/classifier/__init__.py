"""The model in service: opens a bundle and scores messages with it. Runs in engine workers, never on the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from spamfilter.message import Message
from spamfilter.verdict import Failure, Score


class Classifier(Protocol):
    """Scores messages. The score of a message does not depend on what else is in the batch."""

    model_id: str

    def score(self, messages: Sequence[Message]) -> list[Score | Failure]:
        """One outcome a message, in order. Does not raise on any content."""
        ...


def load(bundle: Path, *, turns_at: Sequence[float] = (), campaigns: int = 0, campaign_s: float = 0.0) -> Classifier:
    """Open, verify and warm up a bundle. Raises `bundle.BundleError`.

    `turns_at` are the thresholds at which the verdict turns: where the fast stages settle on which side of them a
    message lies, the GPT is spared (`cascade`); without any it judges every message. `campaigns` texts are remembered
    for `campaign_s` seconds (`campaigns`).
    """
    from spamfilter.classifier.ensemble import Ensemble

    return Ensemble.load(bundle, turns_at=turns_at, campaigns=campaigns, campaign_s=campaign_s)
