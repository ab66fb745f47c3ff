"""May a retrained model take over? Judged on what it had not learnt from, beside the model in service.

A retraining reads what people said, and people err; so nothing takes over by having been trained. The candidate must
lose no more ham than the budget, or than the current model where that loses more, must not be worse than it on the
same messages, must leave alone what an admin said must stay ham, and must know plain spam and plain ham when it sees
them. Where there are too few messages to say, that is a reason to refuse, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Protocol

import numpy as np

from spamfilter.classifier.bundle import Bundle, BundleError
from spamfilter.classifier.ensemble import SELF_TEST, Ensemble
from spamfilter.document import Document, extract
from spamfilter.message import Kind, kind_of
from spamfilter.verdict import Label, Thresholds
from trainer.checks import GOLDEN, RECENT, REPLAY, Checks, GateSettings, Paired
from trainer.data.duplicates import near_duplicate_groups
from trainer.errors import DataError
from trainer.evaluation.gate_report import FAILED, TOO_FEW, GateReport, Reason, Single, named
from trainer.reading import Reader
from trainer.rebundle import replay_in
from trainer.stacking import STAGES
from trainer.warm import logits

MUST_STAY, CANARIES, OPERATING_POINT = "must stay ham", "canaries", "operating point"
MUST_STAY_FOLDER = "must-stay-ham"
_SUFFIXES = (".eml", ".txt")
_LARGEST = 10 * 1024 * 1024
_MOST = 5000
"""Files of a folder that are read: a gate takes minutes, not hours."""


@dataclass(frozen=True, slots=True)
class Messages:
    """N documents with their names, labels (N,) and near-duplicate groups (N,)."""

    documents: Sequence[Document] = ()
    names: Sequence[str] = ()
    spam: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    group: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.documents)

    @classmethod
    def of(cls, found: Iterable[tuple[str, Document, int]]) -> Messages:
        """From names, documents and labels; grouped here."""
        rows = list(found)
        documents = [document for _, document, _ in rows]
        spam = np.array([label for _, _, label in rows], np.int64)
        return cls(documents, [name for name, _, _ in rows], spam, groups_of(documents))


@dataclass(frozen=True, slots=True)
class Material:
    """What a candidate is judged on, beside what its bundle holds itself. `unheard`: labels that were left out of
    `recent`, for they are of people who err too often (`trust.Belief.heard`)."""

    recent: Messages = Messages()
    golden: Messages = Messages()
    must_stay: Messages = Messages()
    canaries: Messages = Messages()
    unheard: int = 0


class Judge(Protocol):
    """A model that says of documents how likely each is spam."""

    def probabilities(self, documents: Sequence[Document]) -> np.ndarray:
        """Probabilities (N,)."""


def is_whole(bundle: Bundle) -> None:
    """Check hashes, loading and self-test. Raises BundleError."""
    Ensemble.load(bundle.path)


def judge(
    current: Bundle, candidate: Bundle, material: Material, settings: GateSettings | None = None, *,
    force: bool = False, reader: Callable[[Bundle], Judge] = Reader, check: Callable[[Bundle], None] = is_whole,
) -> GateReport:  # fmt: skip
    """The gate. `force` overrules that there are too few messages to say, and nothing else.

    Raises BundleError, ValueError where the current bundle cannot be read.
    """
    settings = settings or GateSettings()
    try:
        check(candidate)
        candidate_reader = reader(candidate)
    except (BundleError, ValueError) as error:
        reason = Reason("hashes and self-test", FAILED, f"the bundle is not whole: {error}")
        return GateReport(current.model_id, candidate.model_id, (reason,), (), (), (), force)
    found = _Gate(current, candidate, reader(current), candidate_reader, settings)
    found.checks.ham_budget(found.paired(GOLDEN, material.golden), found.rehearsed)
    found.checks.recent(found.paired(RECENT, material.recent), unheard=material.unheard)
    found.must_stay(material.must_stay)
    found.canaries(material.canaries)
    return GateReport(
        current.model_id, candidate.model_id, tuple(found.checks.reasons), tuple(found.checks.rows),
        tuple(found.singles), tuple(found.checks.notes), force,
    )  # fmt: skip


def operating_point(bundle: Bundle, settings: GateSettings) -> Thresholds:
    """The thresholds that a bundle would serve with: numbers where they are set, else its own for the budgets."""
    found = bundle.thresholds(
        max_false_positive_rate=settings.budget, max_unsure_rate=settings.unsure_budget, spam_at=settings.spam_at,
        unsure_at=settings.unsure_at,
    )  # fmt: skip
    return Thresholds(min(found.unsure_at, found.spam_at), found.spam_at)


class _Gate:
    """Reads messages with both bundles for the checks."""

    def __init__(
        self, current: Bundle, candidate: Bundle, now: Judge, then: Judge, settings: GateSettings
    ) -> None:  # fmt: skip
        self._bundles, self._judges = (current, candidate), (now, then)
        self._points = operating_point(current, settings), operating_point(candidate, settings)
        self.checks = Checks(*self._points, settings)
        self.singles: list[Single] = []
        for name, bundle, at in zip(("current", "candidate"), self._bundles, self._points, strict=True):
            self.checks.notes.append(
                f"{name}: {bundle.model_id}, unsure from {at.unsure_at:.4f}, spam from {at.spam_at:.4f}"
            )
        if settings.unsure_at is not None and settings.unsure_at > self._points[1].spam_at:
            text = (
                f"it could not serve: policy.unsure_at ({settings.unsure_at:g}) lies above its spam threshold "
                f"({self._points[1].spam_at:.4f})"
            )
            self.checks.reasons.append(Reason(OPERATING_POINT, FAILED, text))

    def must_stay(self, messages: Messages) -> None:
        """Not one of them may be called spam."""
        lost: list[str] = []
        unsure: list[str] = []
        for one in self._one_by_one(MUST_STAY, messages):
            (
                lost if one.candidate_label == Label.SPAM else unsure if one.candidate_label == Label.UNSURE else []
            ).append(one.name)
        if lost:
            text = f"it calls spam what must stay ham ({len(lost)} of {len(messages)}: {named(lost)})"
            self.checks.reasons.append(Reason(MUST_STAY, FAILED, text))
        if unsure:
            self.checks.notes.append(f"unsure of {len(unsure)} of {len(messages)} that must stay ham: {named(unsure)}")

    def canaries(self, messages: Messages) -> None:
        """Plain spam must be unsure at least, plain ham never spam."""
        wrong = []
        for one, spam in zip(self._one_by_one(CANARIES, messages), messages.spam, strict=True):
            if one.candidate_label == (Label.HAM if spam else Label.SPAM):
                wrong.append(f"{one.name} ({one.candidate_label})")
        if wrong:
            text = f"it misjudges {len(wrong)} of {len(messages)} plain samples: {named(wrong)}"
            self.checks.reasons.append(Reason(CANARIES, FAILED, text))
        if not (messages.spam == 1).any() or not (messages.spam == 0).any():
            self.checks.reasons.append(
                Reason(CANARIES, TOO_FEW, "there are no plain samples of both classes to try it on")
            )

    def paired(self, name: str, messages: Messages) -> Paired:
        """Messages as both models judge them."""
        current, candidate = (judge.probabilities(messages.documents) for judge in self._judges)
        return Paired(name, messages.spam, messages.group, current, candidate)

    def rehearsed(self) -> Paired | None:
        """The messages that calibrated the current bundle, as each bundle's own scores have them; None without them."""
        try:
            kept = [replay_in(bundle) for bundle in self._bundles]
        except (BundleError, ValueError) as error:
            self.checks.notes.append(f"the bundle's rehearsal cannot be read: {error}")
            return None
        if kept[0] is None or kept[1] is None or len(kept[0].calibrating.spam) != len(kept[1].calibrating.spam):
            return None
        spam = kept[0].calibrating.spam
        found = []
        for bundle, replay in zip(self._bundles, kept, strict=True):
            assert replay is not None
            standing = replay.calibrating.standing.reshape(len(spam), len(STAGES))
            values = logits(bundle.manifest["ensemble"], standing, replay.calibrating.mail)
            found.append(0.5 * (1 + np.tanh(values / 2)))
        return Paired(REPLAY, spam, np.arange(len(spam)), found[0], found[1])

    def _one_by_one(self, name: str, messages: Messages) -> list[Single]:
        pair = self.paired(name, messages)
        first = len(self.singles)
        for place, file in enumerate(messages.names):
            before, now = float(pair.current[place]), float(pair.candidate[place])
            labels = (_label(before, self._points[0]), _label(now, self._points[1]))
            self.singles.append(Single(name, file, before, labels[0], now, labels[1]))
        return self.singles[first:]


def groups_of(documents: Sequence[Document]) -> np.ndarray:
    """Near-duplicate group (N,) of each document."""
    if not documents:
        return np.zeros(0, np.int64)
    return near_duplicate_groups([document.text or document.subject for document in documents])


def folder_of(state_dir: Path) -> Path:
    """Where an admin keeps messages for the gate: `ham`, `spam` and `must-stay-ham` below it."""
    return state_dir / "golden"


def golden(folder: Path) -> Messages:
    """The golden set below a folder; empty where there is none. Raises DataError for what cannot be read."""
    return Messages.of([*_files(folder / "ham", 0), *_files(folder / "spam", 1)])


def must_stay_ham(folder: Path) -> Messages:
    """The messages that must stay ham. Raises DataError for what cannot be read."""
    return Messages.of(_files(folder / MUST_STAY_FOLDER, 0))


def canaries(bundle: Bundle) -> Messages:
    """The bundle's own self-test samples, and those that ship with the trainer."""
    found: list[tuple[str, Document, int]] = []
    for case in json.loads(bundle.file(SELF_TEST).read_text("utf-8")):
        spam = next((label for label, word in enumerate(("ham", "spam")) if word in case["name"].split()), None)
        if spam is not None:
            found.append((f"self-test {case['name']}", extract(case["raw"].encode(), Kind(case["kind"])), spam))
    for file in sorted(resources.files("trainer.evaluation").joinpath("canaries").iterdir(), key=lambda f: f.name):
        label, dash, _ = file.name.partition("-")
        if dash and label in ("ham", "spam"):
            raw = file.read_bytes()
            found.append((file.name, extract(raw, kind_of(raw)), int(label == "spam")))
    return Messages.of(found)


def _files(folder: Path, label: int) -> Iterator[tuple[str, Document, int]]:
    if not folder.is_dir():
        return
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
        for path in paths[:_MOST]:
            with path.open("rb") as file:
                raw = file.read(_LARGEST)
            if raw.strip():
                yield path.name, extract(raw, kind_of(raw)), label
    except OSError as error:
        raise DataError(f"{error.filename or folder}: {error.strerror}; the gate judges by what is there") from None


def _label(probability: float, at: Thresholds) -> Label:
    return Label.SPAM if probability >= at.spam_at else Label.UNSURE if probability >= at.unsure_at else Label.HAM
