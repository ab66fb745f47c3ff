"""The memories on the disk, one a model, made from the labels; the next model's before it serves.

A memory is the newest examples of each label, as one model has read them. What it has read is in the labels, where it
is the model that serves, or in its memory as it was; what is in neither is read now. Who takes a label back has it
taken from every memory that is kept.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from spamfilter.classifier.examined import Examined
from spamfilter.classifier.memory import MOST_PER_LABEL, Exemplar, Memory, MemoryFile, file_of, files_of_others
from spamfilter.document import Document
from spamfilter.store.database import StoreError
from spamfilter.store.examples import Reading, Remembered
from spamfilter.store.labels import LabelStore
from spamfilter.verdict import Failure, Label

KEPT_MEMORIES = 2
"""So many memories of models that do not serve are kept: the next one's, and that of the one to go back to."""

ExamineDocument = Callable[[Document], Examined | Failure]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many exemplars a memory holds, and how many it ought to but no model could read."""

    ham: int
    spam: int
    unread: int


def rebuild(
    store: LabelStore,
    path: Path,
    model_id: str,
    examine_document: ExamineDocument | None = None,
    *,
    known: Iterable[Exemplar] = (),
    remember: int = MOST_PER_LABEL,
    others: bool = True,
) -> Rebuilt:
    """Write a model's memory beside `path` from the labels. One process at a time; the last one saw the most.

    Examples that this model has not read, and that are not among the `known`, which it has, are read now, by
    `examine_document`. With `others` what no longer stands goes from other models' memories, too. Raises StoreError,
    also where a file cannot be written.
    """
    read = {one.content: one for one in known}
    with _alone(path):
        remembered = _remembered(store, remember)
        exemplars: list[Exemplar] = []
        unread = 0
        for one in remembered:
            reading = _at_hand(one, model_id, read)
            if reading is None and one.readable:
                reading = _read_anew(store, one.content, model_id, examine_document)
                if reading is not None:
                    store.note(one.content, reading)
            if reading is None:
                unread += 1
            else:
                exemplars.append(_exemplar(one, reading))
        try:
            _follow_elsewhere(path, model_id, {one.content: one.label for one in remembered} if others else None)
            Memory(model_id, exemplars, remember).save(file_of(path, model_id))
        except OSError as error:
            raise StoreError(
                f"{path}: the memory cannot be written: {error.strerror}; the labels are kept, "
                "and the next correction brings it up"
            ) from None
    ham = sum(one.label is Label.HAM for one in exemplars)
    return Rebuilt(ham, len(exemplars) - ham, unread)


def not_read(store: LabelStore, path: Path, model_id: str, *, remember: int = MOST_PER_LABEL) -> list[Remembered]:
    """What a model's memory ought to hold and the model has not read, though it could. Raises StoreError."""
    read = {one.content: one for one in MemoryFile(path, model_id).current().exemplars}
    return [one for one in _remembered(store, remember) if one.readable and _at_hand(one, model_id, read) is None]


def prepare(
    store: LabelStore,
    path: Path,
    model_id: str,
    examine_document: ExamineDocument,
    *,
    remember: int = MOST_PER_LABEL,
    enough: Callable[[], bool] = lambda: False,
) -> Rebuilt:
    """Write the memory of a model that is to serve next, while another one does; corrections need not wait for it.

    What the model has not read when there is `enough` is left for the `rebuild` that follows when it serves. The labels
    keep the readings of the model that serves. Raises StoreError.
    """
    known = [*MemoryFile(path, model_id).current().exemplars]
    for one in not_read(store, path, model_id, remember=remember):
        if enough():
            break
        reading = _read_anew(store, one.content, model_id, examine_document)
        if reading is not None:
            known.append(_exemplar(one, reading))
    return rebuild(store, path, model_id, known=known, remember=remember, others=False)


def _remembered(store: LabelStore, most: int) -> list[Remembered]:
    return [one for label in (Label.SPAM, Label.HAM) for one in store.remembered(label, most)]


def _at_hand(one: Remembered, model_id: str, known: Mapping[str, Exemplar]) -> Reading | Exemplar | None:
    """What this model made of an example: as the labels have it, or its memory."""
    if one.reading is not None and one.reading.model_id == model_id:
        return one.reading
    return known.get(one.content)


def _exemplar(one: Remembered, reading: Reading | Exemplar) -> Exemplar:
    return Exemplar(one.content, one.label, one.time.timestamp(), reading.fingerprint, reading.pooled)


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
    reading = reading_of(examined)
    return reading if reading.model_id == model_id else None


def _follow_elsewhere(path: Path, model_id: str, standing: Mapping[str, Label] | None) -> None:
    """Keep the memories that last served, but for this model's; only what is `standing`, if that is given.

    Raises OSError. To be called before this model's is written, which then is the latest.
    """
    path.unlink(missing_ok=True)  # earlier versions had this one file for all models
    others = files_of_others(path, model_id)
    kept = others[max(0, len(others) - KEPT_MEMORIES) :]
    for gone in others[: len(others) - len(kept)]:
        gone.unlink(missing_ok=True)
    if standing is None:
        return
    for other in kept:
        try:
            memory = Memory.load(other)
        except ValueError:
            other.unlink(missing_ok=True)
            continue
        still = [one for one in memory.exemplars if standing.get(one.content) is one.label]
        if len(still) < len(memory):
            served = other.stat()
            Memory(memory.model_id, still, len(still)).save(other)
            os.utime(other, ns=(served.st_atime_ns, served.st_mtime_ns))  # by which the order is kept


def reading_of(examined: Examined) -> Reading:
    """What the labels keep of a model's answer."""
    score = examined.score
    return Reading(score.model_id, score.probability, examined.fingerprint, examined.pooled)


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
