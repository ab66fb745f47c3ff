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


def load(bundle: Path) -> Classifier:
    """Open, verify and warm up a bundle. Raises `bundle.BundleError`."""
    from spamfilter.classifier.ensemble import Ensemble

    return Ensemble.load(bundle)
