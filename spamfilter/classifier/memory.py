"""What people have marked, so that the next message of the same campaign is known at once, long before a retrain.

Of each corrected message the memory keeps its label, the fingerprint of its text and the GPT's state; no text. A
message is recalled where its text is all but the same as one of them, or where it has much of its text in common and
the GPT's state agrees: a mailing list's footer alone makes no campaign. For the same reason the state must agree well
where a text of a few lines has another subject. What is marked as ham speaks only for mail that links to the same
hosts, so that nobody gets past by copying a newsletter around his own link.

Each model's memory is one file, replaced as a whole, so that the next model's can be made while this one serves, and
the last one's is there when it comes back. Whoever serves looks at its file's date and reads it anew when it changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import structlog
from numpy.typing import NDArray

from spamfilter.classifier.fingerprint import (
    HOSTS,
    PLACES,
    SUBJECT,
    TEXT_PLACES,
    VERSION,
    Fingerprint,
    similarities,
)
from spamfilter.state_dir import sync_folder
from spamfilter.verdict import Label, Recall

log = structlog.get_logger(__name__)

LEAST = 0.5
"""Texts that have less in common are never taken for one campaign."""
SURE = 0.75
"""Texts that have as much in common are one campaign, whatever the GPT says of them."""
AGREEING = 0.88
"""Between the two the cosine of the GPT's states must reach this."""
AGREEING_WELL = 0.93
"""And this one, whatever they have in common, where a text of a few lines is not the same and has another subject."""
NEAR = 0.9
"""From here on the label alone decides; below it moves the logit by a step that grows from STEP."""
STEP = 2.0
MARGIN = 0.25
CERTAIN = 4.6
"""The logit of 0.99: there at least, or at its opposite, a near-identical message ends."""
MOST_PER_LABEL = 2_000

_LINES = 32
"""A text that fills fewer places is one of a few lines: some 45 words."""
_TRIED, _MOST_CANDIDATES = 16, 256
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

State = NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class Exemplar:
    """A message that somebody marked as ham or spam. `time` in seconds since 1970, `fingerprint` (PLACES,),
    `pooled` the GPT's state (C,)."""

    content: str
    label: Label
    time: float
    fingerprint: Fingerprint
    pooled: State


class Candidate(NamedTuple):
    """An exemplar, by its place in the memory, whose text is similar (LEAST to 1), and the cosine that the GPT's states
    must reach for it to count; 0 where they do not matter."""

    place: int
    similarity: float
    needed: float


class Memory:
    """Exemplars that one model has read. Immutable; the newest `most_per_label` of each label are kept.

    Raises ValueError for exemplars that do not fit together, or that are neither ham nor spam.
    """

    def __init__(self, model_id: str, exemplars: Iterable[Exemplar] = (), most_per_label: int = MOST_PER_LABEL) -> None:
        self.model_id = model_id
        newest = {one.content: one for one in sorted(exemplars, key=lambda one: (one.time, one.content))}
        kept: list[Exemplar] = []
        for label in (Label.HAM, Label.SPAM):
            of_label = [one for one in newest.values() if one.label is label]
            kept += of_label[max(0, len(of_label) - most_per_label) :]
        if any(one.label not in (Label.HAM, Label.SPAM) for one in newest.values()):
            raise ValueError("an exemplar is ham or spam")
        self.exemplars: Sequence[Exemplar] = tuple(kept)
        self._fingerprints = np.array([one.fingerprint for one in kept], np.uint32).reshape(len(kept), PLACES)
        width = len(kept[0].pooled) if kept else 0
        self._pooled = np.array([one.pooled for one in kept], np.float16).reshape(len(kept), width)
        self._ages = np.array([one.time for one in kept], np.float64).argsort(kind="stable").argsort()  # 0: the oldest
        self._ham = np.array([one.label is Label.HAM for one in kept], np.bool_)
        # every filled place of every text as one number, sorted: what agrees with a message is found without
        # comparing it to each exemplar
        texts = self._fingerprints[:, :TEXT_PLACES]
        filled = texts != 0
        values = _placed(texts)[filled]
        order = values.argsort()
        self._values = values[order]
        self._owners = np.repeat(np.arange(len(kept)), filled.sum(axis=1))[order]

    def __len__(self) -> int:
        return len(self.exemplars)

    def candidates(self, fingerprint: Fingerprint) -> list[Candidate]:
        """The exemplars whose text is similar, the most similar first, of equals the newest first."""
        text = fingerprint[:TEXT_PLACES]
        wanted = _placed(text)[text != 0]
        filled = len(wanted)
        wanted = wanted[:: max(1, filled // _TRIED)]
        starts = self._values.searchsorted(wanted)
        present = self._values.take(starts, mode="clip") == wanted if len(self._values) else np.zeros(len(starts), bool)
        if not present.any():
            return []
        ends = self._values.searchsorted(wanted[present], "right")
        ranges = zip(starts[present].tolist(), ends.tolist(), strict=True)
        agreeing = np.bincount(np.concatenate([self._owners[start:end] for start, end in ranges]))
        # where LEAST of all places agree, but for some in ten thousand messages an eighth of those that were tried do
        places = (agreeing >= max(1, len(wanted) // 8)).nonzero()[0]
        if len(places) > _MOST_CANDIDATES:  # those that agree most, of equals the newest
            nearest = agreeing[places] * len(self) + self._ages[places]
            places = places[nearest.argpartition(-_MOST_CANDIDATES)[-_MOST_CANDIDATES:]]
        alike = similarities(self._fingerprints[places], fingerprint)
        near = alike >= LEAST
        if not near.any():
            return []
        places, alike = places[near], alike[near]
        prints = self._fingerprints[places]
        few = np.minimum((prints[:, :TEXT_PLACES] != 0).sum(axis=1), filled) < _LINES
        other = few & (alike < 1) & (prints[:, SUBJECT] != fingerprint[SUBJECT])
        needed = np.where(other, AGREEING_WELL, np.where(alike < SURE, AGREEING, 0.0))
        own = ~self._ham[places] | (prints[:, HOSTS] == fingerprint[HOSTS])
        shares = alike[own].astype(np.float64).round(4)
        found = map(Candidate, places[own].tolist(), shares.tolist(), needed[own].tolist())
        return sorted(found, key=lambda one: (-one.similarity, -self.exemplars[one.place].time))

    def look(self, fingerprint: Fingerprint, pooled: State | None) -> Recall | None:
        """The nearest exemplar that a message is like, the newest of equals. Without a state only sure ones count."""
        return self.recall(self.candidates(fingerprint), pooled)

    def recall(self, candidates: Sequence[Candidate], pooled: State | None) -> Recall | None:
        """`look`, where the candidates are at hand."""
        for place, share, needed in candidates:
            if not needed or (pooled is not None and cosine(self._pooled[place], pooled) >= needed):
                one = self.exemplars[place]
                return Recall(one.content, one.label, one.time, share)
        return None

    def save(self, path: Path) -> None:
        """Write the file as a whole and put it in the old one's place. Raises OSError; the old one then stays."""
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                np.savez(
                    stream,
                    version=np.int64(VERSION),
                    model_id=np.array(self.model_id),
                    contents=np.array([one.content for one in self.exemplars], np.str_),
                    ham=self._ham,
                    times=np.array([one.time for one in self.exemplars], np.float64),
                    fingerprints=self._fingerprints,
                    pooled=self._pooled,
                )
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        sync_folder(path.parent)

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a file. Raises OSError, and ValueError where it is damaged or of another version."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays: dict[str, NDArray[Any]] = {name: stored[name] for name in stored.files}
            columns = [arrays[name] for name in ("contents", "ham", "times", "fingerprints", "pooled")]
            if int(arrays["version"]) != VERSION or len({len(column) for column in columns}) > 1:
                raise ValueError("another version, or arrays that do not fit together")
            exemplars = [
                Exemplar(str(content), Label.HAM if ham else Label.SPAM, float(at), fingerprint, state)
                for content, ham, at, fingerprint, state in zip(*columns, strict=True)
            ]
            return cls(str(arrays["model_id"]), exemplars, most_per_label=len(exemplars))
        except OSError:
            raise
        except Exception as error:  # a damaged archive raises whatever its reader raises
            raise ValueError(f"{type(error).__name__}: {error}") from None


def file_of(path: Path, model_id: str) -> Path:
    """The file of one model's memory: `memory-ID.npz` where `path` is `memory.npz`."""
    plain = model_id if _PLAIN.fullmatch(model_id) else hashlib.sha256(model_id.encode()).hexdigest()[:32]
    return path.with_name(f"{path.stem}-{plain}{path.suffix}")


def files_of_others(path: Path, model_id: str) -> list[Path]:
    """The memories' files of all models but one, those first that were written first. Raises OSError."""
    found = [other for other in path.parent.glob(f"{path.stem}-*{path.suffix}") if other != file_of(path, model_id)]
    return sorted(found, key=lambda other: other.stat().st_mtime_ns)


class MemoryFile:
    """A model's memory, as its `file_of` stands now. What another model has read is void."""

    def __init__(
        self, path: Path, model_id: str, *, every_s: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._model_id, self._every_s, self._clock = file_of(path, model_id), model_id, every_s, clock
        self._memory = Memory(model_id)
        self._seen: tuple[int, int, int] | None = None
        self._next = -1.0

    def current(self) -> Memory:
        """The memory, read anew where the file was replaced; looks for that every `every_s` at most.

        A damaged file is told once, and the memory stays what it was. Without a file there is none.
        """
        now = self._clock()
        if now < self._next:
            return self._memory
        self._next = now + self._every_s
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except OSError:
            if self._seen is not None:
                self._memory, self._seen = Memory(self._model_id), None
            return self._memory
        if seen != self._seen:
            self._seen = seen
            try:
                memory = Memory.load(self._path)
            except (OSError, ValueError) as error:
                log.warning("memory.damaged", path=str(self._path), error=str(error)[:200])
                return self._memory
            if memory.model_id == self._model_id:
                self._memory = memory
        return self._memory


def moved(logit: float, recall: Recall, turns: Sequence[float] = ()) -> float:
    """Where a recall takes a logit: to the label's side of all `turns`, the thresholds' logits, or towards it.

    A near-identical message ends MARGIN beyond the last threshold and at CERTAIN at least. One that is less alike is
    moved by a bounded step, which grows with similarity; what lies beyond the goal already stays.
    """
    near = recall.similarity >= NEAR
    step = math.inf if near else STEP * (NEAR - LEAST) / (NEAR - recall.similarity)
    finite = [turn for turn in turns if math.isfinite(turn)]  # no score passes the others, or each does
    if recall.label is Label.SPAM:
        goal = max([CERTAIN, *(turn + MARGIN for turn in finite)])
        return max(logit, min(goal, logit + step))
    goal = min([-CERTAIN, *(turn - MARGIN for turn in finite)])
    return min(logit, max(goal, logit - step))


def cosine(one: State, other: State) -> float:
    """Of two states, (C,): 1 where they point the same way; 0 where one is of another width or nothing."""
    if len(one) != len(other):
        return 0.0
    a, b = one.astype(np.float32), other.astype(np.float32)
    length = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return float(np.dot(a, b)) / length if length > 0 else 0.0


def _placed(texts: Fingerprint) -> NDArray[np.uint64]:
    """Each place's value with the place's number above it."""
    return texts.astype(np.uint64) | (np.arange(TEXT_PLACES, dtype=np.uint64) << np.uint64(32))
