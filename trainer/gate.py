"""May a retrained model take over? Judged on what it had not learnt from, beside the model in service.

A retraining reads what people said, and people err; so nothing takes over by having been trained. The candidate must
lose no more ham than the budget, must not be worse than the current model on the same messages, must leave alone
what an admin said must stay ham, and must know plain spam and plain ham when it sees them. Where there are too few
messages to say, that is a reason to refuse, too.
"""

from __future__ import annotations

import json
import math
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
from trainer.data.duplicates import near_duplicate_groups
from trainer.errors import DataError
from trainer.evaluation.gate_report import FAILED, TOO_FEW, GateReport, Reason, Row, Single, named
from trainer.reading import Reader
from trainer.rebundle import replay_in
from trainer.stacking import STAGES
from trainer.warm import logits

GOLDEN, RECENT, MUST_STAY, CANARIES, REPLAY = (
    "golden set", "recent mail, held out", "must stay ham", "canaries", "the bundle's rehearsal",
)  # fmt: skip
MUST_STAY_FOLDER = "must-stay-ham"
_SUFFIXES = (".eml", ".txt")
_LARGEST = 10 * 1024 * 1024
_MOST = 5000
"""Files of a folder that are read: a gate takes minutes, not hours."""
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """`budget`: the share of ham that may be called spam; `unsure_budget`: that may be unsure. `least`: different
    messages of each class that recent mail must have. A share is worse when its 95 % interval lies above 0 and it is
    worse by more than `ham_tolerance` or `spam_tolerance`: on many thousand messages any change is significant."""

    budget: float = 0.005
    unsure_budget: float = 0.1
    least: int = 3
    ham_tolerance: float = 0.001
    spam_tolerance: float = 0.01


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
    """What a candidate is judged on, beside what its bundle holds itself."""

    recent: Messages = Messages()
    golden: Messages = Messages()
    must_stay: Messages = Messages()
    canaries: Messages = Messages()


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
    found.ham_budget(material.golden)
    found.recent(material.recent)
    found.must_stay(material.must_stay)
    found.canaries(material.canaries)
    return GateReport(
        current.model_id, candidate.model_id, tuple(found.reasons), tuple(found.rows), tuple(found.singles),
        tuple(found.notes), force,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Paired:
    """The same messages judged by both models; probabilities (N,)."""

    name: str
    spam: np.ndarray
    group: np.ndarray
    current: np.ndarray
    candidate: np.ndarray


class _Gate:
    """Collects what one judgement finds."""

    def __init__(
        self, current: Bundle, candidate: Bundle, now: Judge, then: Judge, settings: GateSettings
    ) -> None:  # fmt: skip
        self._bundles, self._judges, self._settings = (current, candidate), (now, then), settings
        self._points = tuple(
            bundle.thresholds(max_false_positive_rate=settings.budget, max_unsure_rate=settings.unsure_budget)
            for bundle in self._bundles
        )
        self.reasons: list[Reason] = []
        self.rows: list[Row] = []
        self.singles: list[Single] = []
        self.notes: list[str] = [
            f"{name}: {bundle.model_id}, unsure from {at.unsure_at:.4f}, spam from {at.spam_at:.4f}"
            for name, bundle, at in zip(("current", "candidate"), self._bundles, self._points, strict=True)
        ]

    def ham_budget(self, golden: Messages) -> None:
        """The budget, where there is enough ham to show it: the admin's golden set, else the bundle's rehearsal."""
        wanted = math.ceil(1 / self._settings.budget)
        pairs = [self._paired(GOLDEN, golden)] if len(golden) else []
        in_golden = _groups(pairs[0], 0) if pairs else 0
        if in_golden < wanted and (rehearsed := self._rehearsed()) is not None:
            pairs.append(rehearsed)
        for pair in pairs:
            self._within_budget(pair)
            self._not_worse(pair)
        if not any(_groups(pair, 0) >= wanted for pair in pairs):
            text = (
                f"a ham loss of {100 * self._settings.budget:g} % shows on {wanted} different ham or more: the golden "
                f"set has {in_golden}, and the bundle no rehearsal of so many"
            )
            self.reasons.append(Reason(GOLDEN, TOO_FEW, text))

    def recent(self, recent: Messages) -> None:
        """What people said lately and the candidate did not learn from.

        People correct what went wrong, so the share of ham lost there is not that of all mail: a candidate may lose
        more than the budget where the current model loses at least as much.
        """
        pair = self._paired(RECENT, recent)
        for label, name in ((0, "ham"), (1, "spam")):
            if (there := _groups(pair, label)) < self._settings.least:
                text = f"{there} different {name} of recent mail could be held out, {self._settings.least} are wanted"
                self.reasons.append(Reason(RECENT, TOO_FEW, text))
        if len(recent):
            self._within_budget(pair, unless_better=True)
            self._not_worse(pair)

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
            self.reasons.append(Reason(MUST_STAY, FAILED, text))
        if unsure:
            self.notes.append(f"unsure of {len(unsure)} of {len(messages)} that must stay ham: {named(unsure)}")

    def canaries(self, messages: Messages) -> None:
        """Plain spam must be unsure at least, plain ham never spam."""
        wrong = []
        for one, spam in zip(self._one_by_one(CANARIES, messages), messages.spam, strict=True):
            if one.candidate_label == (Label.HAM if spam else Label.SPAM):
                wrong.append(f"{one.name} ({one.candidate_label})")
        if wrong:
            text = f"it misjudges {len(wrong)} of {len(messages)} plain samples: {named(wrong)}"
            self.reasons.append(Reason(CANARIES, FAILED, text))
        if not (messages.spam == 1).any() or not (messages.spam == 0).any():
            self.reasons.append(Reason(CANARIES, TOO_FEW, "there are no plain samples of both classes to try it on"))

    def _paired(self, name: str, messages: Messages) -> _Paired:
        current, candidate = (judge.probabilities(messages.documents) for judge in self._judges)
        return _Paired(name, messages.spam, messages.group, current, candidate)

    def _rehearsed(self) -> _Paired | None:
        """The messages that calibrated the current bundle, as each bundle's own scores have them; None without them."""
        try:
            kept = [replay_in(bundle) for bundle in self._bundles]
        except (BundleError, ValueError) as error:
            self.notes.append(f"the bundle's rehearsal cannot be read: {error}")
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
        return _Paired(REPLAY, spam, np.arange(len(spam)), found[0], found[1])

    def _within_budget(self, pair: _Paired, *, unless_better: bool = False) -> bool:
        """Whether ham loss is within the budget, told as a reason where it is not."""
        lost = [self._shares(pair, 0, which, lambda p, at: p >= at.spam_at) for which in (0, 1)]
        if not len(lost[1]):
            return True
        before, now = (float(shares.mean()) for shares in lost)
        if now <= self._settings.budget + 1e-12 or (unless_better and now <= before):
            return True
        text = (
            f"it calls {100 * now:.2f} % of {len(lost[1])} different ham spam ({pair.name}), the budget is "
            f"{100 * self._settings.budget:g} % (the current model: {100 * before:.2f} %)"
        )
        self.reasons.append(Reason(pair.name, FAILED, text))
        return False

    def _not_worse(self, pair: _Paired) -> None:
        """Ham loss and recall of the candidate beside the current model's, over the same messages.

        Where the current model loses more ham than the budget, and the candidate less of it, spam that is let through
        is the price of the repair.
        """
        lost = [self._shares(pair, 0, which, lambda p, at: p >= at.spam_at) for which in (0, 1)]
        before, now = (float(shares.mean()) if len(shares) else 0.0 for shares in lost)
        repairs = before > self._settings.budget and now < before
        caught = math.inf if repairs else self._settings.spam_tolerance
        figures: tuple[tuple[str, int, Callable[[np.ndarray, Thresholds], np.ndarray], float, float], ...] = (
            ("ham called spam", 0, lambda p, at: p >= at.spam_at, 1, self._settings.ham_tolerance),
            ("ham called unsure", 0, lambda p, at: (p >= at.unsure_at) & (p < at.spam_at), 1, math.inf),
            ("spam called spam", 1, lambda p, at: p >= at.spam_at, -1, caught),
        )
        for figure, label, called, bad, tolerated in figures:
            were, are = (self._shares(pair, label, which, called) for which in (0, 1))
            if not len(are):
                continue
            low, high = interval(are - were)
            row = Row(pair.name, figure, len(are), float(were.mean()), float(are.mean()), low, high)
            self.rows.append(row)
            worse = low > 0 if bad > 0 else high < 0
            if worse and bad * (row.candidate - row.current) > tolerated:
                text = (
                    f"{figure}: {100 * row.candidate:.2f} %, with the current model {100 * row.current:.2f} % "
                    f"({pair.name}, {len(are)} different messages)"
                )
                self.reasons.append(Reason(f"{pair.name}, side by side", FAILED, text))

    def _shares(
        self, pair: _Paired, label: int, which: int, called: Callable[[np.ndarray, Thresholds], np.ndarray]
    ) -> np.ndarray:
        """Of each group of a class, (G,), the share of its members that a model calls so: copies are one message."""
        rows = pair.spam == label
        _, group = np.unique(pair.group[rows], return_inverse=True)
        if not len(group):
            return np.zeros(0)
        hit = called((pair.current, pair.candidate)[which][rows], self._points[which])
        return np.asarray(np.bincount(group, weights=hit) / np.bincount(group))

    def _one_by_one(self, name: str, messages: Messages) -> list[Single]:
        pair = self._paired(name, messages)
        first = len(self.singles)
        for place, file in enumerate(messages.names):
            before, now = float(pair.current[place]), float(pair.candidate[place])
            labels = (_label(before, self._points[0]), _label(now, self._points[1]))
            self.singles.append(Single(name, file, before, labels[0], now, labels[1]))
        return self.singles[first:]


def interval(differences: np.ndarray, *, level: float = 0.95, seed: int = 123) -> tuple[float, float]:
    """The bootstrap interval of the mean of paired differences (G,), one a group."""
    values, counts = np.unique(differences, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(differences), counts / counts.sum(), _RESAMPLES)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(drawn @ values / len(differences), [tail, 100 - tail])
    return float(low), float(high)


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


def _groups(pair: _Paired, label: int) -> int:
    return len(np.unique(pair.group[pair.spam == label]))


def _label(probability: float, at: Thresholds) -> Label:
    return Label.SPAM if probability >= at.spam_at else Label.UNSURE if probability >= at.unsure_at else Label.HAM
