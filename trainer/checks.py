"""What a candidate must show beside the model in service, on probabilities that both gave of the same messages.

Arrays in, reasons out: the gate reads messages with two bundles and asks these checks, and so does `compare poison`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spamfilter.verdict import Thresholds
from trainer.evaluation.gate_report import FAILED, TOO_FEW, Reason, Row

GOLDEN, RECENT, REPLAY = "golden set", "recent mail, held out", "the bundle's rehearsal"
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """`budget`: the share of ham that may be called spam; `unsure_budget`: that may be unsure; `spam_at`, `unsure_at`:
    the thresholds in force, where they are set as numbers. `least`: different messages of each class that recent mail
    must have. A share is worse when its 95 % interval lies above 0 and it is worse by more than `ham_tolerance` or
    `spam_tolerance`: on many thousand messages any change is significant."""

    budget: float = 0.005
    unsure_budget: float = 0.1
    spam_at: float | None = None
    unsure_at: float | None = None
    least: int = 3
    ham_tolerance: float = 0.001
    spam_tolerance: float = 0.01


@dataclass(frozen=True, slots=True)
class Paired:
    """The same messages judged by both models: labels (N,), near-duplicate groups (N,) and probabilities (N,)."""

    name: str
    spam: np.ndarray
    group: np.ndarray
    current: np.ndarray
    candidate: np.ndarray

    def groups(self, label: int) -> int:
        """Different messages of a class."""
        return len(np.unique(self.group[self.spam == label]))


class Checks:
    """Collects what the checks find: `reasons` to refuse, `rows` of figures, `notes` for people."""

    def __init__(self, current: Thresholds, candidate: Thresholds, settings: GateSettings) -> None:
        self._points, self._settings = (current, candidate), settings
        self.reasons: list[Reason] = []
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def ham_budget(self, golden: Paired, rehearsed: Callable[[], Paired | None]) -> None:
        """The budget, where there is enough ham to show it: the admin's golden set, else the bundle's rehearsal."""
        wanted = math.ceil(1 / self._settings.budget)
        pairs = [golden] if len(golden.spam) else []
        if golden.groups(0) < wanted and (more := rehearsed()) is not None:
            pairs.append(more)
        for pair in pairs:
            # a threshold that the admin set as a number may cost more than the budget: then it may cost no more
            self._within_budget(pair, as_now=self._settings.spam_at is not None)
            self._not_worse(pair)
        if not any(pair.groups(0) >= wanted for pair in pairs):
            text = (
                f"a ham loss of {100 * self._settings.budget:g} % shows on {wanted} different ham or more: the golden "
                f"set has {golden.groups(0)}, and the bundle no rehearsal of so many"
            )
            self.reasons.append(Reason(GOLDEN, TOO_FEW, text))

    def recent(self, pair: Paired, *, unheard: int = 0) -> None:
        """What people said lately and the candidate did not learn from; `unheard` labels were left out of it, for they
        are of people who err too often to judge."""
        but = f" ({unheard} more are of people whose labels are likely wrong too often)" if unheard else ""
        if unheard:
            self.notes.append(f"{RECENT}: {unheard} labels do not count, their reporters are likely wrong too often")
        for label, name in ((0, "ham"), (1, "spam")):
            if (there := pair.groups(label)) < self._settings.least:
                text = f"{there} different {name} of recent mail could be held out, {self._settings.least} are wanted"
                self.reasons.append(Reason(RECENT, TOO_FEW, text + but))
        if len(pair.spam):
            self._within_budget(pair, as_now=True)
            self._not_worse(pair)

    def _within_budget(self, pair: Paired, *, as_now: bool) -> None:
        """A reason where ham loss is above the budget; and for people, how much of it the messages leave open.

        With `as_now` a candidate may lose as much as the current model: to refuse it would keep the worse.
        """
        lost = [self._shares(pair, 0, which, lambda p, at: p >= at.spam_at) for which in (0, 1)]
        if not len(lost[1]):
            return
        before, now = (float(shares.mean()) for shares in lost)
        most = most_likely(float(lost[1].sum()), len(lost[1]))
        self.notes.append(
            f"{pair.name}: {100 * now:.2f} % of {len(lost[1])} different ham lost, so of all such ham below "
            f"{100 * most:.2f} % (95 % confidence)"
        )
        if now <= max(self._settings.budget, before if as_now else 0.0) + 1e-12:
            return
        text = (
            f"it calls {100 * now:.2f} % of {len(lost[1])} different ham spam ({pair.name}), the budget is "
            f"{100 * self._settings.budget:g} % (the current model: {100 * before:.2f} %)"
        )
        self.reasons.append(Reason(pair.name, FAILED, text))

    def _not_worse(self, pair: Paired) -> None:
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
        self, pair: Paired, label: int, which: int, called: Callable[[np.ndarray, Thresholds], np.ndarray]
    ) -> np.ndarray:
        """Of each group of a class, (G,), the share of its members that a model calls so: copies are one message."""
        rows = pair.spam == label
        _, group = np.unique(pair.group[rows], return_inverse=True)
        if not len(group):
            return np.zeros(0)
        hit = called((pair.current, pair.candidate)[which][rows], self._points[which])
        return np.asarray(np.bincount(group, weights=hit) / np.bincount(group))


def interval(differences: np.ndarray, *, level: float = 0.95, seed: int = 123) -> tuple[float, float]:
    """The bootstrap interval of the mean of paired differences (G,), one a group."""
    values, counts = np.unique(differences, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(differences), counts / counts.sum(), _RESAMPLES)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(drawn @ values / len(differences), [tail, 100 - tail])
    return float(low), float(high)


def most_likely(lost: float, of: int, *, level: float = 0.95) -> float:
    """The share that is lost of all messages at most, when so many of a sample are (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    return 1.0 if lost >= of else float(beta.ppf(level, math.ceil(lost) + 1, of - math.ceil(lost)))
