"""What was read of a message that a person corrects: everything that learning from it needs, and none of its bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from spamfilter.document import Document
from spamfilter.message import Kind
from spamfilter.verdict import Score

if TYPE_CHECKING:  # the daemon passes these on and need not load NumPy for them until it learns
    import numpy as np
    from numpy.typing import NDArray


_TEXTS = ("text", "tail", "sender_name", "sender_domain", "subject")
_TUPLES = ("links", "attachments", "flags")


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """`score` is of all stages, the memory not asked; `head` and `tail` are the document as rendered; `fingerprint` is
    (64,) (`fingerprint`), `pooled` the GPT's state (C,)."""

    score: Score
    document: Document
    head: str
    tail: str
    fingerprint: NDArray[np.uint32]
    pooled: NDArray[np.float16]

    def as_json(self) -> dict[str, Any]:
        """All but the score, for a pipe."""
        return {
            "document": document_as_json(self.document),
            "head": self.head,
            "tail": self.tail,
            "fingerprint": base64.b64encode(self.fingerprint.astype("<u4").tobytes()).decode("ascii"),
            "pooled": base64.b64encode(self.pooled.astype("<f2").tobytes()).decode("ascii"),
        }

    @classmethod
    def from_json(cls, score: Score, values: Mapping[str, Any]) -> Self:
        """From `as_json`. Raises ValueError, KeyError or TypeError where it is damaged."""
        import numpy as np

        fingerprint = np.frombuffer(base64.b64decode(values["fingerprint"]), "<u4").astype(np.uint32)
        pooled = np.frombuffer(base64.b64decode(values["pooled"]), "<f2").astype(np.float16)
        document = document_from_json(values["document"])
        return cls(score, document, values["head"], values["tail"], fingerprint, pooled)


def document_as_json(document: Document) -> dict[str, Any]:
    """A document as data for JSON. Lone surrogates survive, escaped."""
    return {**asdict(document), "facts": dict(document.facts)}


def document_from_json(plain: object) -> Document:
    """The document in data that may come from anywhere. Raises ValueError."""
    if not isinstance(plain, Mapping):
        raise ValueError("a document is an object")
    values: dict[str, Any] = {"kind": Kind(str(plain.get("kind")))}
    for name in _TEXTS:
        value = plain.get(name, "")
        if not isinstance(value, str):
            raise ValueError(f"document.{name} is no text")
        values[name] = value
    for name in _TUPLES:
        several = plain.get(name, ())
        if not isinstance(several, list | tuple) or not all(isinstance(one, str) for one in several):
            raise ValueError(f"document.{name} is no list of texts")
        values[name] = tuple(several)
    facts = plain.get("facts", {})
    if not isinstance(facts, Mapping) or not all(isinstance(present, bool) for present in facts.values()):
        raise ValueError("document.facts holds something else than true and false")
    return Document(**values, facts=dict(facts))
