"""What a bundle by itself makes of documents, as in service: all stages asked, without memory, cascade or torch.

Of labelled mail the store keeps the document, not always the bytes; so a retraining reads documents, and its gate
judges them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from spamfilter.classifier.bundle import Bundle
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.document import Document
from spamfilter.verdict import Failure
from trainer.errors import DataError


def nothing() -> None:
    """What is called after each document where nobody wants to know."""


class Reader:
    """A loaded bundle that reads documents."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises BundleError, or ValueError for damaged arrays."""
        self.model_id = bundle.model_id
        self._ensemble = Ensemble(bundle)

    def read(self, document: Document) -> tuple[float, np.ndarray]:
        """The probability that it is spam, and the GPT's pooled state (C,). Raises DataError."""
        found = self._ensemble.examine_document(document)
        if isinstance(found, Failure):
            raise DataError(f"{self.model_id} cannot read a labelled message: {found.detail}")
        return found.score.probability, found.pooled.astype(np.float32)

    def probabilities(self, documents: Sequence[Document], advance: Callable[[], object] = nothing) -> np.ndarray:
        """Probabilities (N,); `advance` is called after each. Raises DataError."""
        found = np.zeros(len(documents))
        for place, document in enumerate(documents):
            found[place], _ = self.read(document)
            advance()
        return found
