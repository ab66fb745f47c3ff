"""One retraining on a mail host, from the labels to a candidate's folder with the gate's report; without torch.

It only reads the store and only writes below its own folder: whoever started it installs what passed. Nobody's text is
copied: the snapshot names contents by their hashes, and what was sealed or is forgotten stays so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from spamfilter.classifier.bundle import Bundle, BundleError, default_bundle, open_bundle
from spamfilter.document import Document
from spamfilter.store.database import StoreError, store_url
from spamfilter.store.examples import Labelled
from spamfilter.store.label_reader import LabelReader
from spamfilter.store.seal import sealer
from spamfilter.verdict import Label
from trainer import gate
from trainer.errors import DataError, RecipeError
from trainer.evaluation.gate_report import GateReport
from trainer.evaluation.metrics import summary
from trainer.gate import GateSettings, Material, Messages
from trainer.inputs import inputs_of
from trainer.reading import Reader
from trainer.rebundle import NETWORK, RETRAINED_FROM, current_of, rebundle, replay_in
from trainer.recipes.retrain import Retrain, retrain
from trainer.trust import Corrections

SNAPSHOT, CANDIDATE = "snapshot.jsonl", "candidate"
UNTIL = "labels until"
"""In a bundle's `training`: the time of the newest label that it may have learnt from."""
NAME = "retrained"
MOST = 10_000
"""Labels that are read, the newest first: some hundred megabytes of documents."""
HELD_OUT = 0.2
_TELL_EVERY_S = 0.2

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to retrain, from what, and where to write. `folder` is empty or not there; `store`: a URL, or empty."""

    state_dir: Path
    folder: Path
    bundle: Path
    store: str = ""
    key: Path | None = None
    force: bool = False
    retrain: Retrain = dataclasses.field(default_factory=Retrain)
    gate: GateSettings = dataclasses.field(default_factory=GateSettings)


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


class Progress:
    """Tells how far each step is: done, of how many, and how many seconds are left of it."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._step, self._done, self._of, self._began, self._told = "", 0, 0, 0.0, 0.0

    def begin(self, step: str, of: int = 1) -> None:
        """A step of `of` parts begins."""
        self._step, self._done, self._of, self._began = step, 0, of, time.monotonic()
        self._say()

    def advance(self) -> None:
        """One part is done."""
        self._done = min(self._done + 1, self._of)
        if self._done == self._of or time.monotonic() - self._told > _TELL_EVERY_S:
            self._say()

    def _say(self) -> None:
        self._told = time.monotonic()
        left = (self._told - self._began) / self._done * (self._of - self._done) if self._done else None
        eta = None if left is None else round(left, 1)
        self._tell({"step": self._step, "done": self._done, "of": self._of, "eta_s": eta})


def run(job: Job, tell: Tell) -> GateReport:
    """Retrain and judge; the last thing told is the result. Raises DataError, RecipeError."""
    progress = Progress(tell)
    if job.retrain.network != "head":
        raise RecipeError(
            f"network: {job.retrain.network} wants the run's folder and the corpora: use `finetune` and `export`; "
            "a mail host retrains with network: head"
        )
    try:
        base = open_bundle(job.bundle)
        reader, origin = Reader(base), origin_of(base, job.state_dir)
        current, replay = current_of(origin), replay_in(origin)
        snapshot = read_snapshot(job, base, progress)
    except (BundleError, StoreError, ValueError) as error:
        raise DataError(str(error)) from None
    write_snapshot(job.folder, snapshot)

    learnt = np.flatnonzero(~snapshot.held)
    corrections = corrections_of(snapshot, learnt, base, reader, progress)
    progress.begin("fitting")
    candidate = retrain(current, corrections, replay, settings=job.retrain)
    until = snapshot.until
    told = {"held out": f"{int(snapshot.held.sum()):,} corrected messages for the gate"}
    if until is not None:
        told[UNTIL] = until.isoformat()
    candidate = replace(candidate, training={**candidate.training, **told})
    progress.advance()

    progress.begin("writing")
    figures = {}
    if len(np.unique(corrections.spam)) == 2:
        figures["corrections, by models that had not seen them"] = summary(corrections.spam, candidate.unseen)
    made = rebundle(job.folder / CANDIDATE, NAME, origin, candidate, metrics=figures)
    progress.advance()

    report = judged(job, base, made, snapshot, reader, progress)
    report.write(made.path)
    _sync(made.path)
    tell(
        {
            "result": "passed" if report.passed else "refused",
            "model": made.model_id,
            "from": base.model_id,
            "sentence": report.sentence,
            "labels": len(snapshot.examples),
            "held_out": int(snapshot.held.sum()),
            "left_out": snapshot.left_out,
            "until": None if until is None else until.isoformat(),
        }
    )
    return report


def origin_of(base: Bundle, state_dir: Path) -> Bundle:
    """The fully trained bundle that a retrained one began with, where it still is, else the bundle itself.

    Every retraining begins there, with all labels: from candidate to candidate the pull to what the full training knew
    would grow weaker, and a label that was taken back would stay in the weights. Raises BundleError, ValueError.
    """
    wanted = base.manifest.get("training", {}).get(RETRAINED_FROM)
    folders = [default_bundle(), *sorted((state_dir / "models").glob("*/"))] if wanted else []
    for folder in folders:
        with contextlib.suppress(BundleError):
            found = open_bundle(folder)
            same_network = found.manifest["files"].get(NETWORK) == base.manifest["files"].get(NETWORK)
            if found.model_id == wanted and same_network:
                found.verify()
                return found
    return base


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


def corrections_of(
    snapshot: Snapshot, rows: np.ndarray, base: Bundle, reader: Reader, progress: Progress
) -> Corrections:
    """The rows as the stages read them; states that the model in service left in the store are not read again."""
    progress.begin("reading", len(rows))
    examples = [snapshot.examples[row] for row in rows.tolist()]
    states = []
    for one in examples:
        if one.reading is not None and one.reading.model_id == base.model_id:
            states.append(np.asarray(one.reading.pooled, np.float32))
        elif one.document is not None:
            states.append(reader.read(one.document)[1])
        progress.advance()
    return Corrections(
        inputs_of(snapshot.documents(rows), np.stack(states) if states else np.zeros((0, 1), np.float32)),
        snapshot.spam[rows],
        np.array([one.provenance.who for one in examples], dtype=str),
        snapshot.group[rows].astype(str),
        np.array([one.time.timestamp() for one in examples]),
    )


def judged(
    job: Job, base: Bundle, made: Bundle, snapshot: Snapshot, reader: Reader, progress: Progress
) -> GateReport:  # fmt: skip
    """The gate's report of the candidate. Raises DataError."""
    rows = np.flatnonzero(snapshot.held)
    recent = Messages(
        snapshot.documents(rows), [snapshot.examples[row].content for row in rows.tolist()], snapshot.spam[rows],
        snapshot.group[rows],
    )  # fmt: skip
    folder = gate.folder_of(job.state_dir)
    material = Material(recent, gate.golden(folder), gate.must_stay_ham(folder), gate.canaries(base))
    sets = (material.recent, material.golden, material.must_stay, material.canaries)
    progress.begin("judging", 2 * sum(len(one) for one in sets))

    def opened(bundle: Bundle) -> _Telling:
        return _Telling(reader if bundle is base else Reader(bundle), progress)

    return gate.judge(base, made, material, job.gate, force=job.force, reader=opened)


class _Telling:
    """A reader that tells how far it is."""

    def __init__(self, reader: Reader, progress: Progress) -> None:
        self._reader, self._progress = reader, progress

    def probabilities(self, documents: Sequence[Document]) -> np.ndarray:
        return self._reader.probabilities(documents, self._progress.advance)


def settings_of(overrides: Mapping[str, Any]) -> Retrain:
    """The recipe's settings with some of them set. Raises RecipeError for one that there is not, or of another type."""
    fields = {field.name: field.default for field in dataclasses.fields(Retrain)}
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            raise RecipeError(f"retrain: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        wanted = type(fields[key])
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise RecipeError(f"retrain: {key}: expected {wanted.__name__}, found {value!r}")
        values[key] = value
    try:
        return Retrain(**values)
    except ValueError as error:
        raise RecipeError(f"retrain: {error}") from None


def _sync(folder: Path) -> None:
    """Bring a folder and the files in it to the disk: it is to be installed."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
