"""The one road by which people's word enters: whatever way a correction comes in, it is recorded here.

A correction is committed to the labels first; the memory, by which the next message of the campaign is known at once,
is made from them. So a process killed at any instant leaves at worst a memory that is some corrections behind, and the
next correction brings it up. We never learn from our own verdicts: only `learn`, with a person in its provenance,
labels anything.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from spamfilter.classifier.examined import Examined
from spamfilter.classifier.memory import MOST_PER_LABEL, Exemplar, Memory, MemoryFile
from spamfilter.config import Config
from spamfilter.correction import Provenance, content_hash, unmarked
from spamfilter.document import Document, extract
from spamfilter.message import Message
from spamfilter.store.database import StoreError, store_url
from spamfilter.store.examples import Example, Reading
from spamfilter.store.label_lines import Taken
from spamfilter.store.label_reader import Counts
from spamfilter.store.labels import Change, LabelStore
from spamfilter.store.seal import sealer
from spamfilter.verdict import Failure, FailureKind, Label, Recall

REBUILD_EVERY_S = 1.0
"""Within `Learning.many` the memory is rebuilt no more often, nor for more than a fifth of the time."""

log = structlog.get_logger(__name__)


Examine = Callable[[Message], Examined | Failure]
ExamineDocument = Callable[[Document], Examined | Failure]


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


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many exemplars a memory holds, and how many it ought to but no model could read."""

    ham: int
    spam: int
    unread: int


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
            document, reading = outcome.document, _reading(outcome)
            probability = outcome.score.probability
        with self._turn:
            recall = None
            if reading is not None and reading.model_id == self.model_id:
                recall = self._memory.current().look(reading.fingerprint, reading.pooled)
            example = Example(content, kind, document, len(message.raw), raw, reading)
            change = self._store.record(example, label, provenance)
            self._follow()
        return Learned(content, change.before, change.after, probability, recall)

    def undo(self, content: str, provenance: Provenance | None = None) -> Learned:
        """Take back the last correction of a content; the one before it stands again. Raises StoreError."""
        with self._turn:
            change = self._store.undo(content, provenance)
            self._forgot = self._forgot or change.after is None
            self._follow()
        return _learned(content, change)

    def forget(self, content: str, provenance: Provenance) -> Learned:
        """Let go of all that is kept of a content. Raises StoreError."""
        with self._turn:
            change = self._store.forget(content, provenance)
            self._forgot = True
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
                self._store, self._memory_path, self.model_id, self._examine_document, remember=self._remember
            )
            self._behind = False
            ended = time.monotonic()
            self._due = ended + max(REBUILD_EVERY_S, 4 * (ended - started))
            if gone or self._forgot:
                self._forgot = not self._store.scrub()
            return built

    def _follow(self) -> None:
        self._behind = True
        if not self._many or time.monotonic() >= self._due:
            self.rebuild()


def rebuild(
    store: LabelStore,
    path: Path,
    model_id: str,
    examine_document: ExamineDocument | None = None,
    *,
    remember: int = MOST_PER_LABEL,
) -> Rebuilt:
    """Write the memory at `path` from the labels, for one model. One process at a time; the last one saw the most.

    Examples that this model has not read are read now, by `examine_document`. Raises StoreError, also where the file
    cannot be written.
    """
    with _alone(path):
        exemplars: list[Exemplar] = []
        unread = 0
        for label in (Label.SPAM, Label.HAM):
            for one in store.remembered(label, remember):
                reading = one.reading
                if reading is None or reading.model_id != model_id:
                    reading = _read_anew(store, one.content, model_id, examine_document) if one.readable else None
                if reading is None:
                    unread += 1
                    continue
                exemplars.append(
                    Exemplar(one.content, one.label, one.time.timestamp(), reading.fingerprint, reading.pooled)
                )
        try:
            Memory(model_id, exemplars, remember).save(path)
        except OSError as error:
            raise StoreError(
                f"{path}: the memory cannot be written: {error.strerror}; the labels are kept, "
                "and the next correction brings it up"
            ) from None
    ham = sum(one.label is Label.HAM for one in exemplars)
    return Rebuilt(ham, len(exemplars) - ham, unread)


def label_store(config: Config) -> LabelStore:
    """The configured labels, not yet opened. Raises StoreError."""
    return LabelStore(
        store_url(config.store.url, config.state_dir),
        seal=sealer(config.path(config.learn.key)),
        keep_raw=config.learn.keep_raw,
        retention_days=config.learn.retention_days,
    )


def _read_anew(
    store: LabelStore, content: str, model_id: str, examine_document: ExamineDocument | None
) -> Reading | None:
    if examine_document is None:
        return None
    kept = store.get(content)
    if kept is None or kept.document is None:
        return None
    try:
        examined = examine_document(kept.document)
    except Exception as error:  # a model's fault on one example must not cost the memory of the others
        log.error("example_not_read", content=content, error=f"{type(error).__name__}: {error}"[:200])
        return None
    if isinstance(examined, Failure):
        log.error("example_not_read", content=content, error=f"{examined.kind}: {examined.detail}"[:200])
        return None
    reading = _reading(examined)
    if reading.model_id != model_id:
        return None
    store.note(content, reading)
    return reading


def _reading(examined: Examined) -> Reading:
    score = examined.score
    return Reading(score.model_id, score.probability, examined.fingerprint, examined.pooled)


def _learned(content: str, change: Change) -> Learned:
    return Learned(content, change.before, change.after)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold `memory.lock` beside the memory; the kernel lets go of it when the process ends."""
    lock = path.with_suffix(".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{lock}: {error.strerror}; the memory belongs to the user that runs the daemon, correct as that one"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
