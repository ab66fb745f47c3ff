"""The labels of a store as a retraining finds them: grouped, a part set aside for the gate, noted by their hashes.

Nobody's text is copied: the snapshot names contents by their hashes, and what was sealed or is forgotten stays so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from spamfilter.classifier.bundle import Bundle
from spamfilter.document import Document
from spamfilter.store.database import store_url
from spamfilter.store.examples import Labelled
from spamfilter.store.label_reader import LabelReader
from spamfilter.store.seal import sealer
from spamfilter.verdict import Label
from trainer import gate
from trainer.job import Job, Progress

SNAPSHOT = "snapshot.jsonl"
UNTIL = "labels until"
"""In a bundle's `training`: the time of the newest label that it may have learnt from."""
MOST = 10_000
"""Labels that are read, the newest first: some hundred megabytes of documents."""
HELD_OUT = 0.2


@dataclass(frozen=True, slots=True)
class Snapshot:
    """N labelled examples as they stood, oldest first: labels (N,), near-duplicate groups (N,), held out or not (N,).

    `left_out`: examples whose document another version of the extraction made.
    """

    examples: Sequence[Labelled]
    spam: np.ndarray
    group: np.ndarray
    held: np.ndarray
    left_out: int

    def documents(self, rows: np.ndarray) -> list[Document]:
        """The documents of some rows."""
        found = [self.examples[row].document for row in rows.tolist()]
        return [document for document in found if document is not None]

    @property
    def until(self) -> datetime | None:
        """The time of the newest label."""
        return max((one.time for one in self.examples), default=None)


def read_snapshot(job: Job, base: Bundle, progress: Progress) -> Snapshot:
    """The newest MOST labels, grouped, with a fifth of the groups set aside. Raises StoreError."""
    with LabelReader(store_url(job.store, job.state_dir), seal=sealer(job.key) if job.key else None) as labels:
        progress.begin("labels", min(sum(labels.counts().by_label.values()), MOST))
        found: list[Labelled] = []
        left_out = 0
        for one in labels.labelled(newest_first=True):
            if one.document is None:
                left_out += 1
            else:
                found.append(one)
                progress.advance()
            if len(found) == MOST:
                break
    found.reverse()
    documents = [one.document for one in found if one.document is not None]
    spam = np.array([one.label is Label.SPAM for one in found], np.int64)
    group = gate.groups_of(documents)
    known = base.manifest.get("training", {}).get(UNTIL)
    learnt_until = datetime.fromisoformat(known) if known else None
    fresh = np.array([learnt_until is None or one.time > learnt_until for one in found], bool)
    held = held_out(group, spam, fresh, [one.content for one in found], salt=base.model_id, least=job.gate.least)
    return Snapshot(found, spam, group, held, left_out)


def held_out(
    group: np.ndarray, spam: np.ndarray, fresh: np.ndarray, content: Sequence[str], *, salt: str, least: int
) -> np.ndarray:
    """Which rows (N,) are kept for the gate, whole groups: of each class a fifth of those that the model in service
    has not learnt from (all its members are `fresh`), and `least` where there are twice as many.

    Where fresh ones do not suffice, the newest of the others follow: they flatter the model in service.
    """
    chosen: list[int] = []
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    new: dict[int, bool] = {}
    for row, number in enumerate(group.tolist()):
        first.setdefault(number, row)
        last[number] = row
        new[number] = new.get(number, True) and bool(fresh[row])
    for label in (0, 1):
        members = [number for number, row in first.items() if spam[row] == label]
        drawn = sorted(
            (number for number in members if new[number]),
            key=lambda number: hashlib.sha256(f"{salt}/{content[first[number]]}".encode()).digest(),
        )
        known = sorted((number for number in members if not new[number]), key=last.__getitem__, reverse=True)
        wanted = max(math.ceil(HELD_OUT * len(drawn)), min(least, len(members) // 2))
        chosen += [*drawn, *known][: min(wanted, len(members) // 2)]
    return np.isin(group, chosen)


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """What was read, a line a label: contents by their hashes, without anybody's text."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / SNAPSHOT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        for one, group, held in zip(snapshot.examples, snapshot.group.tolist(), snapshot.held.tolist(), strict=True):
            line = {
                "content": one.content,
                "label": str(one.label),
                **dataclasses.asdict(one.provenance),
                "time": one.time.astimezone(UTC).isoformat(),
                "kind": str(one.kind),
                "extraction": one.extraction,
                "group": group,
                "held_out": held,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
