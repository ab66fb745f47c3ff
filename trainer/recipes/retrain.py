"""Retraining: the model in service, what people corrected, and the bundle's replay become a candidate, in seconds.

Nothing is trained anew. Each stage starts from what serves and is drawn back to it, so that a handful of corrections
moves what they speak of and nothing else; the replay keeps it from forgetting. How the stages are put together, and
what the thresholds cost, is read from scores that were made without the correction that they judge (folds by
near-duplicate group), and from the messages that calibrated the bundle. All is arrays in, arrays out, without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from spamfilter.classifier.cascade import logit
from trainer import cascade
from trainer.cascade import Contribution
from trainer.errors import RecipeError
from trainer.inputs import Inputs
from trainer.linear import fit_facts, source_weights
from trainer.replay import Replay
from trainer.stacking import STAGES, threshold_table
from trainer.trust import Corrections, counts_of, suspected, trust_in, weights_of
from trainer.warm import (
    Ensemble,
    Stages,
    counted,
    fit_head,
    fit_ngram,
    fit_together,
    logits,
    products,
    standings,
    weighed,
    widened_idf,
)

NETWORKS = ("head", "last-block", "lora")
_FOLDS_FROM = 2  # groups of each class, or nothing can be judged out of fold


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """Settings; what a pull or a weight is counted in is messages.

    `network`: what of the GPT learns: the head here, `last-block` and `lora` by a fine-tuning where the corpora are.
    `least`: groups of ham and of spam that there must be among corrections and replay together. `folds`: out-of-fold
    parts. `balance`: 0 takes the classes of the corrections as they come, 1 makes them weigh alike. `corrected`: what
    a correction weighs; `margin`: how far n-grams are to tell it from the other class (1 is what a fit from nothing
    wants; a model that is right already by a little needs more to move). `rehearsed`: what a message of the replay
    weighs; `unlabelled`: what recent mail weighs, on which the model in service is the teacher. `ngram_pull`,
    `facts_pull`, `head_pull`, `together_pull`: how hard each is drawn to the current. `widen_from`: corrections that
    must have an unknown n-gram for it to count. `largest_share`: of one reporter, where there are three. `doubt_from`:
    logit of a contradiction, `doubted`: what is left of its weight. `bands`: fit the cascade's, too.
    """

    network: str = "head"
    least: int = 3
    folds: int = 5
    balance: float = 0.5
    corrected: float = 4.0
    rehearsed: float = 0.2
    unlabelled: float = 0.05
    margin: float = 5.0
    ngram_pull: float = 1.0
    facts_pull: float = 5.0
    head_pull: float = 30.0
    together_pull: float = 100.0
    widen_from: int = 2
    largest_share: float = 0.34
    doubt_from: float = 5.0
    doubted: float = 0.2
    bands: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network: one of {', '.join(NETWORKS)}, found {self.network!r}")
        if self.folds < 2 or self.least < 1:
            raise ValueError("folds: at least 2; least: at least 1")


@dataclass(frozen=True, slots=True)
class Current:
    """The model in service: its stages, the manifest's `ensemble` and `thresholds`."""

    stages: Stages
    ensemble: Ensemble
    thresholds: Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a retraining made: stages, the manifest's `ensemble`, `thresholds` and `cascade`.

    `before` and `unseen`: logits (N,) of the corrections by the model in service, and by models that had not seen them.
    `trust` (N,): what of each correction's weight was left. `replay`: the sample with the candidate's scores.
    `training`: what happened, for the manifest.
    """

    stages: Stages
    ensemble: dict[str, Any]
    thresholds: list[dict[str, float]]
    cascade: dict[str, Any]
    before: np.ndarray
    unseen: np.ndarray
    trust: np.ndarray
    replay: Replay | None
    training: dict[str, str]


def refusal(corrections: Corrections, replay: Replay | None, settings: Retrain) -> str | None:
    """Why there is too little to learn from, or None."""
    if not len(corrections):
        return "there are no corrections"
    for label, name, found in zip((0, 1), ("ham", "spam"), counts_of(corrections), strict=True):
        there = found + (int((replay.spam == label).sum()) if replay is not None else 0)
        if there < settings.least:
            return (
                f"{found} different corrected {name} messages, {settings.least} are wanted: "
                f"correct more {name}, or use a bundle with a replay"
            )
    return None


def retrain(
    current: Current, corrections: Corrections, replay: Replay | None = None, unlabelled: Inputs | None = None,
    settings: Retrain | None = None,
) -> Candidate:  # fmt: skip
    """A candidate from corrections; two to seven seconds. Raises RecipeError where there is too little."""
    settings = settings or Retrain()
    if (reason := refusal(corrections, replay, settings)) is not None:
        raise RecipeError(reason)
    if settings.network != "head":
        raise RecipeError(
            f"network: {settings.network} needs the corpora and torch: import the corrections into a run "
            f"(`python -m trainer data import`), then `python -m trainer finetune --set strategy={settings.network} "
            "--set pooling=last`, and export"
        )
    fitting = _Fitting(current, corrections, replay, unlabelled, settings)
    mail = corrections.inputs.mail
    before = logits(
        current.ensemble, standings(current.ensemble, current.stages.scores(corrections.inputs), mail), mail
    )
    trust, spared = np.ones(len(corrections)), np.arange(len(corrections))
    folds = folds_of(corrections, settings.folds, settings.seed)
    unseen, change = fitting.out_of_fold(folds, trust)
    if unseen is not None:
        others = logits(current.ensemble, unseen, mail)
        spared = np.flatnonzero(~suspected(corrections, others))  # a suspect's ham need not lie below the thresholds
        trust = trust_in(corrections, before, others, doubt_from=settings.doubt_from, doubted=settings.doubted)
        if (trust < 1).any():
            unseen, change = fitting.out_of_fold(folds, trust)
    stages = fitting.stages(np.arange(len(corrections)), trust)
    ensemble: dict[str, Any] = {**current.ensemble}
    judged = before
    if unseen is not None:
        weights = fitting.weights(np.arange(len(corrections)), trust)
        ensemble = fit_together(current.ensemble, unseen, corrections.spam, mail, weights, pull=settings.together_pull)
        judged = logits(ensemble, unseen, mail)
    followed = followed_by(replay, change) if replay is not None else None
    thresholds, bands = operating_points(
        current, ensemble, corrections[spared], None if unseen is None else unseen[spared], followed,
        bands=settings.bands,
    )  # fmt: skip
    told = _told(corrections, replay, unlabelled, trust)
    return Candidate(stages, ensemble, thresholds, bands, before, judged, trust, followed, told)


class _Fitting:
    """Fits the stages on some of the corrections; what they have in common is weighed and multiplied once.

    Rows are those of the corrections, then of the replay, then of recent mail.
    """

    def __init__(
        self, current: Current, corrections: Corrections, replay: Replay | None, unlabelled: Inputs | None,
        settings: Retrain,
    ) -> None:  # fmt: skip
        self._current, self._corrections, self._replay, self._settings = current, corrections, replay, settings
        whole = corrections.inputs.counts.whole
        _, once = np.unique(corrections.group, return_index=True)
        self._idf = widened_idf(current.stages.ngram, whole[once], least=settings.widen_from)
        wholes, facts, states = [whole], [corrections.inputs.facts], [corrections.inputs.pooled]
        spam, weights = [corrections.spam], [np.zeros(len(corrections))]
        around = states
        if replay is not None:
            wholes.append(replay.inputs.counts.whole)
            facts.append(replay.inputs.facts)
            states, around = [*states, replay.inputs.pooled], [replay.inputs.pooled]
            spam.append(replay.spam)
            weights.append(settings.rehearsed * source_weights(replay.source, replay.spam))
        if unlabelled is not None and len(unlabelled) and settings.unlabelled:
            wholes.append(unlabelled.counts.whole)
            around = [*around, unlabelled.pooled]
            spam.append(np.full(len(unlabelled), -1))
            weights.append(np.full(len(unlabelled), settings.unlabelled))
        self._matrix = weighed(sparse.vstack(wholes, format="csr"), self._idf)
        self._alike = products(self._matrix)
        self._spam, self._weights = np.concatenate(spam), np.concatenate(weights)
        self._facts, self._states = np.concatenate(facts), np.concatenate(states).astype(np.float64)
        self._around = np.concatenate(around).astype(np.float64)

    def weights(self, rows: np.ndarray, trust: np.ndarray) -> np.ndarray:
        """What each of the given corrections weighs against the others."""
        s = self._settings
        return weights_of(self._corrections[rows], trust[rows], largest=s.largest_share, balance=s.balance)

    def stages(self, rows: np.ndarray, trust: np.ndarray, without: np.ndarray | None = None) -> Stages:
        """The three stages, fitted on the given corrections, the replay less rows `without`, and recent mail."""
        s, now, mine = self._settings, self._current.stages, self._corrections.inputs[rows]
        others = np.arange(len(self._corrections), len(self._spam))
        if without is not None:
            others = np.setdiff1d(others, len(self._corrections) + without)
        used = np.concatenate([rows, others])
        weights = self._weights.copy()
        weights[rows] = s.corrected * self.weights(rows, trust)
        margins = np.where(np.arange(len(self._spam)) < len(self._corrections), s.margin, 1.0)
        ngram = fit_ngram(
            now.ngram, self._idf, self._matrix[used], self._alike[np.ix_(used, used)], self._spam[used], weights[used],
            margins[used], pull=s.ngram_pull,
        )  # fmt: skip
        used = used[self._spam[used] >= 0]
        spam, weights = self._spam[used], weights[used]
        told = np.isin(np.isnan(self._facts[used, 0]), np.isnan(mine.facts[:, 0]))  # of kinds that were corrected
        learnt = fit_facts(
            self._facts[used[told]], spam[told], weights[told],
            prior=now.facts.weights.astype(np.float64), pull=s.facts_pull,
        )  # fmt: skip
        head = fit_head(now.head, self._states[used], spam, weights, self._around, pull=s.head_pull)
        return Stages(ngram, learnt, head)

    def out_of_fold(self, folds: np.ndarray | None, trust: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Standings (N, 3) of each correction by stages that were fitted without its fold, None without folds; and by
        how much (R, 3) stages that were fitted without them move the replay's messages."""
        corrections, now = self._corrections, self._current
        count = int(folds.max()) + 1 if folds is not None else 2
        found, change = np.zeros((len(corrections), len(STAGES))), np.zeros((0, len(STAGES)))
        part = np.zeros(0, np.int64)
        if self._replay is not None:
            kept = self._replay.inputs
            change = -standings(now.ensemble, now.stages.scores(kept), kept.mail)
            part = np.arange(len(kept)) % count
        for fold in range(count):
            held = folds == fold if folds is not None else np.zeros(len(corrections), bool)
            rehearsed = np.flatnonzero(part == fold)
            stages = self.stages(np.flatnonzero(~held), trust, rehearsed)
            if held.any():
                inputs = corrections.inputs[np.flatnonzero(held)]
                found[held] = standings(now.ensemble, stages.scores(inputs), inputs.mail)
            if self._replay is not None:
                inputs = self._replay.inputs[rehearsed]
                change[rehearsed] += standings(now.ensemble, stages.scores(inputs), inputs.mail)
        return (found if folds is not None else None), change


def folds_of(corrections: Corrections, folds: int, seed: int) -> np.ndarray | None:
    """The fold (N,) of each correction: groups stay together, classes are spread; None with too few groups."""
    folds = min(folds, *counts_of(corrections))
    if folds < _FOLDS_FROM:
        return None
    rng = np.random.default_rng(seed)
    _, first, group = np.unique(corrections.group, return_index=True, return_inverse=True)
    place = np.zeros(len(first), np.int64)
    for label in (0, 1):
        members = np.flatnonzero(corrections.spam[first] == label)
        place[rng.permutation(members)] = np.arange(len(members)) % folds
    found: np.ndarray = place[group]
    return found


def operating_points(
    current: Current, ensemble: Ensemble, corrections: Corrections, unseen: np.ndarray | None, replay: Replay | None,
    *, bands: bool = True,
) -> tuple[list[dict[str, float]], dict[str, Any]]:  # fmt: skip
    """The table of thresholds and the cascade's bands: each budget holds on every origin of the replay's calibration
    (the candidate's scores), and on the corrections out of fold (`unseen`, (N, 3))."""
    origins: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
    if replay is not None:
        known = replay.calibrating
        for number, name in enumerate(known.names):
            mine = known.origin == number
            origins.append((name, known.standing[mine], known.spam[mine], known.mail[mine]))
    table = threshold_table([(_probability(logits(ensemble, s, m)), y) for _, s, y, m in origins]) if origins else []
    if not table:
        table = [{**row} for row in current.thresholds]
    if unseen is not None:
        mail = corrections.inputs.mail
        own = _probability(logits(ensemble, unseen, mail))
        raise_for(table, own[corrections.spam == 0])
        origins.append(("corrections", unseen, corrections.spam, mail))
    return table, _bands(origins, ensemble, table) if bands else {}


def raise_for(table: list[dict[str, float]], ham: np.ndarray) -> None:
    """Raise thresholds in place until each budget holds on the given ham's probabilities, too: of ham too little for a
    budget none may lie above. A smaller budget never has the lower threshold."""
    ordered = np.sort(ham)[::-1]
    strictest = 0.0
    for row in sorted(table, key=lambda row: -row["false_positive_rate"]):
        allowed = int(row["false_positive_rate"] * len(ordered) + 1e-9)
        cut = float(np.floor(ordered[allowed] * 1e6 + 1) / 1e6) if allowed < len(ordered) else 0.0
        strictest = max(strictest, row["probability"], cut)
        row["probability"] = min(strictest, 1.0)


def followed_by(replay: Replay, change: np.ndarray) -> Replay:
    """The replay with the calibration's scores moved as its own messages were, by `change` (R, 3); others as most of
    their class."""
    known = replay.calibrating
    moved = known.standing.astype(np.float64)
    there = known.row >= 0
    for origin in range(len(known.names)):
        for label in (0, 1):
            mine = (known.origin == origin) & (known.spam == label)
            if (mine & there).any():
                moved[mine & ~there] += np.median(change[known.row[mine & there]], axis=0)
    moved[there] += change[known.row[there]]
    return replace(replay, calibrating=replace(known, standing=moved))


def _bands(
    origins: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]], ensemble: Ensemble,
    table: Sequence[Mapping[str, float]],
) -> dict[str, Any]:  # fmt: skip
    """The manifest's `cascade`; a mode whose messages cannot show the bound gets no band."""
    of = {}
    for mode in ("mail", "text"):
        found = []
        for name, standing, _, mail in origins:
            rows = mail if mode == "mail" else ~mail
            if rows.any():
                added = counted(ensemble, standing[rows], mail[rows])[:, STAGES.index("gpt")]
                found.append(Contribution(name, logits(ensemble, standing[rows], mail[rows]) - added, added))
        of[mode] = found
    return cascade_of(of, table)


def cascade_of(of: Mapping[str, list[Contribution]], table: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """`trainer.cascade.fit` for contributions by mode that are known already."""
    at = {row["false_positive_rate"]: row["probability"] for row in table}
    unsure = at.get(cascade.UNSURE_RATE, max(at.values(), default=1.0))
    rates = [rate for rate in cascade.SPAM_RATES if rate in at]
    points = [tuple(logit(p) for p in (min(unsure, at[rate]), at[rate])) for rate in rates]
    bands: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    for mode, found in of.items():
        if sum(len(one.fast) for one in found) < 1000:
            continue
        for tail in cascade.TAILS if points else ():
            figures = [cascade.measure(found, tail, turns) for turns in points]
            if all(_kept(figure) for figure in figures):
                bands[mode] = cascade.band_of(found, tail).as_json()
                measured[mode] = {"tail": tail, "origins": figures[0]}
                break
    return {"bands": bands, "measured": measured}


def _kept(figures: Mapping[str, Mapping[str, float]]) -> bool:
    turned = sum(row["turned"] * row["messages"] for row in figures.values())
    alone = [row["turned"] for row in figures.values() if row["messages"] >= 1000]
    return max(turned / sum(row["messages"] for row in figures.values()), *alone, 0.0) <= cascade.MOST_TURNED


def _probability(values: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))


def _told(
    corrections: Corrections, replay: Replay | None, unlabelled: Inputs | None, trust: np.ndarray
) -> dict[str, str]:
    ham, spam = counts_of(corrections)
    told = {
        "corrections": f"{len(corrections):,} ({ham:,} different ham, {spam:,} different spam) of "
        f"{len(np.unique(corrections.who)):,} reporter(s); {int((trust < 1).sum()):,} doubted",
        "rehearsed": f"{len(replay):,} messages of the bundle's replay" if replay is not None else "nothing",
    }
    if unlabelled is not None and len(unlabelled):
        told["unlabelled"] = f"{len(unlabelled):,} recent messages, as the model before judged them"
    return told
