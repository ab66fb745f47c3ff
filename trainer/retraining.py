"""One retraining on a mail host, from the labels to a candidate's folder with the gate's report.

It only reads the store, and the run where there is one, and only writes below its own folder: whoever started it
installs what passed. Without a run it needs no torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spamfilter.classifier.bundle import Bundle, BundleError, default_bundle, open_bundle
from spamfilter.document import Document
from spamfilter.store.database import StoreError
from trainer import gate
from trainer.errors import DataError, RecipeError
from trainer.evaluation.gate_report import GateReport
from trainer.evaluation.metrics import summary
from trainer.gate import Material, Messages
from trainer.inputs import Inputs, inputs_of
from trainer.job import Job, Progress, Tell
from trainer.labelled import UNTIL, Snapshot, read_snapshot, write_snapshot
from trainer.reading import Reader
from trainer.rebundle import NETWORK, RETRAINED_FROM, current_of, rebundle, replay_in
from trainer.recipes.retrain import Current, Relearnt, Retrain, retrain
from trainer.trust import Belief, Corrections

if TYPE_CHECKING:
    from trainer.rehearsal import Rehearsal

CANDIDATE, GRAPH = "candidate", "network.onnx"
NAME = "retrained"
_TRAINS = ("torch", "pandas", "onnx")


def run(job: Job, tell: Tell) -> GateReport:
    """Retrain and judge; the last thing told is the result. Raises DataError, RecipeError."""
    if (reason := absence(job)) is not None:
        raise RecipeError(reason)
    progress = Progress(tell)
    try:
        base = open_bundle(job.bundle)
        reader, origin = Reader(base), origin_of(base, job.state_dir)
        current, replay = current_of(origin), replay_in(origin)
        snapshot = read_snapshot(job, base, progress)
    except (BundleError, StoreError, ValueError) as error:
        raise DataError(str(error)) from None
    write_snapshot(job.folder, snapshot)

    learnt = np.flatnonzero(~snapshot.held)
    alike = same_network(base, origin)
    corrections = corrections_of(snapshot, learnt, base, origin, reader if alike else Reader(origin), progress)
    unlabelled = _recent(job) if job.retrain.unlabelled else None
    told = {"held out": f"{int(snapshot.held.sum()):,} corrected messages for the gate"}
    if (until := snapshot.until) is not None:
        told[UNTIL] = until.isoformat()
    rehearsal, relearnt, graph = None, None, None
    if job.run is not None:
        rehearsal = _rehearsal(job.run, origin, current, progress)
        replay = rehearsal.replay
        told["rehearsed"] = f"{len(replay):,} messages of the run in {job.run.name}"
        if job.retrain.network != "head":
            documents = snapshot.documents(learnt)
            relearnt, graph = _learn(job, current, corrections, documents, rehearsal, progress, told)
    if unlabelled is not None and (relearnt is not None or not alike):
        unlabelled = replace(unlabelled, pooled=unlabelled.pooled[:0])  # states of another network
    progress.begin("fitting")
    candidate = retrain(current, corrections, replay, unlabelled, job.retrain, relearnt)
    carried = candidate.replay if rehearsal is None else rehearsal.for_bundle(candidate.replay)
    candidate = replace(candidate, replay=carried, training={**candidate.training, **told})
    progress.advance()

    progress.begin("writing")
    figures = {}
    if len(np.unique(corrections.spam)) == 2:
        figures["corrections, by models that had not seen them"] = summary(corrections.spam, candidate.unseen)
    made = rebundle(job.folder / CANDIDATE, NAME, origin, candidate, metrics=figures, graph=graph)
    if graph is not None:
        graph.unlink()
    progress.advance()

    report = judged(job, base, made, snapshot, candidate.belief, reader, progress)
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


def absence(job: Job) -> str | None:
    """What a retraining lacks that is to train the network, or to rehearse from a run, and what to do; or None."""
    network = job.retrain.network
    if network != "head" and job.run is None:
        return (
            f"network: {network} learns from texts of the training, and no run is named: give the folder of the run "
            "that the model was trained in (--run), or take network: head"
        )
    if job.run is not None and (missing := [name for name in _TRAINS if find_spec(name) is None]):
        return f"a run is read with {', '.join(missing)}: pip install -c constraints.txt '.[train]', or leave out --run"
    return None


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
            if found.model_id == wanted:
                found.verify()
                return found
    return base


def same_network(one: Bundle, other: Bundle) -> bool:
    """Whether two bundles' graphs are equal, so that states of one are states of the other."""
    return bool(one.manifest["files"].get(NETWORK) == other.manifest["files"].get(NETWORK))


def corrections_of(
    snapshot: Snapshot, rows: np.ndarray, base: Bundle, origin: Bundle, reader: Reader, progress: Progress
) -> Corrections:
    """The rows as the stages of `origin` read them; states that its network left in the store are not read again."""
    progress.begin("reading", len(rows))
    known = {origin.model_id, *([base.model_id] if same_network(base, origin) else [])}
    examples = [snapshot.examples[row] for row in rows.tolist()]
    states = []
    for one in examples:
        if one.reading is not None and one.reading.model_id in known:
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


def _recent(job: Job) -> Inputs | None:
    """Mail that nobody labelled, as the model in service read it; None where none is kept."""
    from trainer.unlabelled import recent

    return recent(job)


def _rehearsal(run: Path, origin: Bundle, current: Current, progress: Progress) -> Rehearsal:
    """The run's messages, read by the origin's graph. Raises RecipeError."""
    from trainer.rehearsal import rehearsal_of, served_states, table_in

    if (carried := replay_in(origin)) is None:
        raise RecipeError(f"{origin.model_id} carries no replay that says which run it is of: leave out --run")
    return rehearsal_of(run, table_in(run), carried, served_states(origin, current.stages.ngram, progress))


def _learn(
    job: Job, current: Current, corrections: Corrections, documents: Sequence[Document], rehearsal: Rehearsal,
    progress: Progress, told: dict[str, str],
) -> tuple[Relearnt, Path]:  # fmt: skip
    """Let the network learn; its states, and the graph that it was exported to. Raises RecipeError."""
    from trainer.recipes.relearn import learn_from

    assert job.run is not None
    relearnt, counts = learn_from(
        job.run, current, corrections, documents, rehearsal, job.retrain, progress, job.folder / GRAPH
    )
    told["relearnt"] = f"{job.retrain.network}: {counts}, before the head"
    return relearnt, job.folder / GRAPH


def judged(
    job: Job, base: Bundle, made: Bundle, snapshot: Snapshot, belief: Belief, reader: Reader, progress: Progress
) -> GateReport:  # fmt: skip
    """The gate's report of the candidate; labels of people who err too often do not judge it. Raises DataError."""
    held = np.flatnonzero(snapshot.held)
    rows = held[belief.heard(np.array([snapshot.examples[row].provenance.who for row in held.tolist()], dtype=str))]
    recent = Messages(
        snapshot.documents(rows), [snapshot.examples[row].content for row in rows.tolist()], snapshot.spam[rows],
        snapshot.group[rows],
    )  # fmt: skip
    folder = gate.folder_of(job.state_dir)
    material = Material(
        recent, gate.golden(folder), gate.must_stay_ham(folder), gate.canaries(base), unheard=len(held) - len(rows)
    )
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
