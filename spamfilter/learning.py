"""The one road by which people's word enters: whatever way a correction comes in, it is recorded here.

A correction is committed to the labels first; the memory, by which the next message of the campaign is known at once,
is made from them. So a process killed at any instant leaves at worst a memory that is some corrections behind, and the
next correction brings it up. Each model has a memory of its own: that of the next one is made before it serves, and
that of one before it is kept for its return. We never learn from our own verdicts: only `learn`, with a person in its
provenance, labels anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from spamfilter.classifier.examined import Examined
from spamfilter.classifier.memory import MOST_PER_LABEL, MemoryFile
from spamfilter.config import Config
from spamfilter.correction import Provenance, content_hash, unmarked
from spamfilter.document import extract
from spamfilter.message import Message
from spamfilter.store.database import store_url
from spamfilter.store.examples import Example, Reading
from spamfilter.store.label_lines import Taken
from spamfilter.store.label_reader import Counts
from spamfilter.store.labels import Change, LabelStore
from spamfilter.store.memories import ExamineDocument, Rebuilt, reading_of, rebuild
from spamfilter.store.seal import sealer
from spamfilter.verdict import Failure, FailureKind, Label, Recall

REBUILD_EVERY_S = 1.0
"""Within `Learning.many` the memory is rebuilt no more often, nor for more than a fifth of the time."""

log = structlog.get_logger(__name__)


Examine = Callable[[Message], Examined | Failure]


@dataclass(frozen=True, slots=True)
class Learned:
    """What a correction did. `before` and `after` are the labels that stood and stand; None: no label.

    `probability` is what the model by itself says of the message, and `recall` what the memory took it for before; both
    are None where the model was not asked, or could not be.
    """

    content: str
    before: Label | None
    after: Label | None
    probability: float | None = None
    recall: Recall | None = None

    @property
    def changed(self) -> bool:
        """False where the message was known under this label already, or there was nothing to take back."""
        return self.before is not self.after


class Learning:
    """Corrections into labels and memory. `store` is open; any thread may call; calls wait for one another.

    `examine` asks the model in service about a message, `examine_document` about a kept document (after a change of
    model); without the latter, examples that only another model has read stay out of the memory until one has.
    """

    def __init__(
        self,
        store: LabelStore,
        memory_path: Path,
        examine: Examine,
        model_id: str,
        *,
        examine_document: ExamineDocument | None = None,
        remember: int = MOST_PER_LABEL,
    ) -> None:
        self._store = store
        self._memory_path = memory_path
        self._examine = examine
        self._examine_document = examine_document
        self._remember = remember
        self._memory = MemoryFile(memory_path, model_id, every_s=0.0)
        self._turn = threading.RLock()
        self._many = 0
        self._behind = False
        self._forgot = False
        self._taken_back = True  # a label, since other models' memories were looked at: before we came, perhaps
        self._due = 0.0
        self.model_id = model_id
        """Of the model in service; `switch` changes it."""

    def learn(self, message: Message, label: Label | None, provenance: Provenance) -> Learned | Failure:
        """Record what a person says of a message, ham or spam; None forgets it. The memory follows at once.

        A Failure means that nothing was recorded: there is nothing in the message. A model that cannot answer now is
        no such reason: the label is kept and the message read later. Raises StoreError.
        """
        if label is None:
            return self.forget(content_hash(message.raw, message.kind), provenance)
        raw, kind = unmarked(message.raw, message.kind)
        if not raw.strip():
            return Failure(FailureKind.UNPARSABLE, "empty: there is nothing to learn from")
        content = content_hash(raw, kind)
        outcome = self._examine(Message(raw, message.channel, message.envelope, kind, message.id))
        probability: float | None = None
        reading: Reading | None = None
        if isinstance(outcome, Failure):
            log.warning("learned_without_model", content=content, failure=str(outcome.kind), detail=outcome.detail)
            document = extract(raw, kind)
        else:
            document, reading = outcome.document, reading_of(outcome)
            probability = outcome.score.probability
        with self._turn:
            recall = None
            if reading is not None and reading.model_id == self.model_id:
                recall = self._memory.current().look(reading.fingerprint, reading.pooled)
            example = Example(content, kind, document, len(message.raw), raw, reading)
            change = self._store.record(example, label, provenance)
            self._taken_back = self._taken_back or change.before not in (None, change.after)
            self._follow()
        return Learned(content, change.before, change.after, probability, recall)

    def undo(self, content: str, provenance: Provenance | None = None) -> Learned:
        """Take back the last correction of a content; the one before it stands again. Raises StoreError."""
        with self._turn:
            change = self._store.undo(content, provenance)
            self._forgot = self._forgot or change.after is None
            self._taken_back = True
            self._follow()
        return _learned(content, change)

    def forget(self, content: str, provenance: Provenance) -> Learned:
        """Let go of all that is kept of a content. Raises StoreError."""
        with self._turn:
            change = self._store.forget(content, provenance)
            self._forgot = self._taken_back = True
            self._follow()
        return _learned(content, change)

    @contextmanager
    def many(self) -> Iterator[None]:
        """Within it the memory follows once a second at most; at the end it is up to date, whatever was raised."""
        with self._turn:
            self._many += 1
            self._due = time.monotonic() + REBUILD_EVERY_S
        try:
            yield
        finally:
            with self._turn:
                self._many -= 1
                if self._many == 0 and self._behind:
                    self.rebuild()

    def learn_all(
        self, messages: Iterable[Message], label: Label | None, provenance: Provenance
    ) -> Iterator[Learned | Failure]:
        """`learn` for many messages, one outcome each, in order, as they come."""
        with self.many():
            for message in messages:
                yield self.learn(message, label, provenance)

    def take(self, stream: IO[bytes]) -> Taken:
        """Import what an export wrote; of two labels the later stands. Raises StoreError."""
        with self.many():
            self._behind = True
            taken = self._store.take(stream)
            with self._turn:
                self._forgot = self._forgot or taken.forgotten > 0
                self._taken_back = True
        return taken

    def find(self, prefix: str) -> str:
        """The one labelled content whose hash begins with `prefix`. Raises StoreError."""
        return self._store.find(prefix)

    def counts(self) -> Counts:
        """How many examples stand under each label. Raises StoreError."""
        return self._store.counts()

    def switch(self, model_id: str) -> Rebuilt:
        """Another model serves: make the memory anew for it. `examine` must ask that one from now on."""
        with self._turn:
            self.model_id = model_id
            self._memory = MemoryFile(self._memory_path, model_id, every_s=0.0)
            return self.rebuild()

    def rebuild(self) -> Rebuilt:
        """Make the memory anew from the labels, those past retention gone. Raises StoreError."""
        with self._turn:
            started = time.monotonic()
            gone = self._store.prune()
            built = rebuild(
                self._store,
                self._memory_path,
                self.model_id,
                self._examine_document,
                known=self._memory.current().exemplars,
                remember=self._remember,
                others=self._taken_back or gone > 0,
            )
            self._behind = self._taken_back = False
            ended = time.monotonic()
            self._due = ended + max(REBUILD_EVERY_S, 4 * (ended - started))
            if gone or self._forgot:
                self._forgot = not self._store.scrub()
            return built

    def _follow(self) -> None:
        self._behind = True
        if not self._many or time.monotonic() >= self._due:
            self.rebuild()


def label_store(config: Config) -> LabelStore:
    """The configured labels, not yet opened. Raises StoreError."""
    return LabelStore(
        store_url(config.store.url, config.state_dir),
        seal=sealer(config.path(config.learn.key)),
        keep_raw=config.learn.keep_raw,
        retention_days=config.learn.retention_days,
    )


def _learned(content: str, change: Change) -> Learned:
    return Learned(content, change.before, change.after)
