"""The model in service: opens a bundle and scores messages with it. Runs in engine workers, never on the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from spamfilter.classifier.examined import Examined
from spamfilter.classifier.explanation import SECONDS, Explanation
from spamfilter.classifier.sampled import Sampled
from spamfilter.document import Document
from spamfilter.message import Message
from spamfilter.verdict import Failure, Score


class Classifier(Protocol):
    """Scores messages. The score of a message does not depend on what else is in the batch."""

    model_id: str

    def score(self, messages: Sequence[Message]) -> list[Score | Failure]:
        """One outcome a message, in order. Does not raise on any content."""
        ...

    def examine(self, message: Message) -> Examined | Failure:
        """All that learning needs of a message. Does not raise on any content."""
        ...

    def examine_document(self, document: Document) -> Examined | Failure:
        """The same of a message whose document is all that was kept."""
        ...

    def explain(self, message: Message, seconds: float = SECONDS) -> Explanation | Failure:
        """Why a message gets its score, told within about so many seconds. Does not raise on any content."""
        ...

    def sample(self, message: Message) -> Sampled | Failure:
        """What is kept of a message that nobody labelled. Does not raise on any content."""
        ...


def load(
    bundle: Path,
    *,
    turns_at: Sequence[float] = (),
    cascade: bool = True,
    campaigns: int = 0,
    campaign_s: float = 0.0,
    memory: str | Path | None = None,
) -> Classifier:
    """Open, verify and warm up a bundle. Raises `bundle.BundleError`.

    `turns_at` are the thresholds at which the verdict turns. With `cascade` the GPT is spared where the fast stages
    settle on which side of them a message lies (`cascade`); without thresholds it judges every message. `campaigns`
    texts are remembered for `campaign_s` seconds (`campaigns`). `memory` is the file of what people have marked
    (`memory`); it need not be there yet.
    """
    from spamfilter.classifier.ensemble import Ensemble

    return Ensemble.load(
        bundle, turns_at=turns_at, cascade=cascade, campaigns=campaigns, campaign_s=campaign_s, memory=memory
    )
