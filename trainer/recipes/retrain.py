"""Retraining: the model in service, what people corrected, and a replay become a candidate, in seconds.

Nothing is trained anew. Each stage starts from what serves and is drawn back to it, so that a handful of corrections
moves what they speak of and nothing else; the replay keeps it from forgetting. How the stages are put together, and
what the thresholds cost, is read from scores that were made without the correction that they judge (folds by
near-duplicate group), and from the messages that calibrated the bundle. All is arrays in, arrays out, without torch:
where the network learnt, too (`trainer.recipes.relearn`), its states come in as arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from trainer.errors import RecipeError
from trainer.inputs import Inputs
from trainer.linear import fit_facts, source_weights
from trainer.operating_points import followed_by, operating_points
from trainer.replay import Replay
from trainer.stacking import STAGES
from trainer.trust import Belief, Corrections, believed, counts_of, weights_of
from trainer.warm import (
    Ensemble,
    Stages,
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

    `network`: what of the GPT learns: its head alone, or `last-block` or `lora` before it, where the run is. `passes`
    over the corrections, `most_steps` at most, `batch`, `learning_rate`, `rank`, `alpha` are of that; `kept`: how much
    of what a message of the replay teaches is what the network before says of it, the rest is its label.

    `least`: groups of ham and of spam that there must be among corrections and replay together. `folds`: out-of-fold
    parts. `balance`: 0 takes the classes of the corrections as they come, 1 makes them weigh alike. `corrected`: what
    a correction weighs; `margin`: how far n-grams are to tell it from the other class (1 is what a fit from nothing
    wants; a model that is right already by a little needs more to move). `rehearsed`: what a message of the replay
    weighs; `unlabelled`: what recent mail weighs, on which the model in service is the teacher. `ngram_pull`,
    `facts_pull`, `head_pull`, `together_pull`: how hard each is drawn to the current. `widen_from`: corrections that
    must have an unknown n-gram for it to count. `largest_share`: of one reporter, where there are three. `sure`: the
    logit that models may at most set against a label. `bands`: fit the cascade's, too.
    """

    network: str = "head"
    least: int = 3
    folds: int = 5
    balance: float = 0.5
    corrected: float = 4.0
    rehearsed: float = 0.2
    unlabelled: float = 0.0
    margin: float = 5.0
    ngram_pull: float = 1.0
    facts_pull: float = 5.0
    head_pull: float = 30.0
    together_pull: float = 100.0
    widen_from: int = 2
    largest_share: float = 0.34
    sure: float = 5.0
    bands: bool = True
    passes: int = 4
    most_steps: int = 100
    batch: int = 32
    learning_rate: float = 0.0003
    rank: int = 8
    alpha: float = 16.0
    kept: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network: one of {', '.join(NETWORKS)}, found {self.network!r}")
        if self.folds < 2 or self.least < 1:
            raise ValueError("folds: at least 2; least: at least 1")
        if self.batch < 2 or min(self.passes, self.most_steps, self.rank) < 1 or not 0 <= self.kept <= 1:
            raise ValueError("batch: at least 2; passes, most_steps and rank: at least 1; kept: from 0 to 1")


@dataclass(frozen=True, slots=True)
class Current:
    """The model in service: its stages, the manifest's `ensemble` and `thresholds`."""

    stages: Stages
    ensemble: Ensemble
    thresholds: Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Relearnt:
    """Pooled states of a network that learnt: of the corrections (N, C) and the replay (R, C), and of both by networks
    that had not learnt from the message itself. The head in service reads all of them."""

    corrections: np.ndarray
    replay: np.ndarray
    corrections_unseen: np.ndarray
    replay_unseen: np.ndarray


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a retraining made: stages, the manifest's `ensemble`, `thresholds` and `cascade`.

    `before` and `unseen`: logits (N,) of the corrections by the model in service, and by models that had not seen them.
    `belief`: what of each correction's weight was left, and who errs how often. `replay`: the sample with the
    candidate's scores. `training`: what happened, for the manifest.
    """

    stages: Stages
    ensemble: dict[str, Any]
    thresholds: list[dict[str, float]]
    cascade: dict[str, Any]
    before: np.ndarray
    unseen: np.ndarray
    belief: Belief
    replay: Replay | None
    training: dict[str, str]


def refusal(corrections: Corrections, replay: Replay | None, settings: Retrain) -> str | None:
    """Why there is too little to learn from, or None."""
    if not len(corrections):
        return "there are no corrections yet: mark mail in the console, or use `spamfilter learn`"
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
    settings: Retrain | None = None, relearnt: Relearnt | None = None,
) -> Candidate:  # fmt: skip
    """A candidate from corrections; two to seven seconds. Raises RecipeError where there is too little.

    Where the network learnt, `relearnt` has its states, and the inputs those of the model in service. Unlabelled mail
    without states, (0, C), speaks of n-grams alone.
    """
    settings = settings or Retrain()
    if (reason := refusal(corrections, replay, settings)) is not None:
        raise RecipeError(reason)
    fitting = _Fitting(current, corrections, replay, unlabelled, settings, relearnt)
    mail = corrections.inputs.mail
    before = logits(
        current.ensemble, standings(current.ensemble, current.stages.scores(corrections.inputs), mail), mail
    )
    folds = folds_of(corrections, settings.folds, settings.seed)
    belief, unseen, change = fitting.believed(folds, before)
    trust = belief.right
    stages = fitting.stages(np.arange(len(corrections)), trust)
    ensemble: dict[str, Any] = {**current.ensemble}
    judged = before
    if unseen is not None:
        weights = fitting.weights(np.arange(len(corrections)), trust)
        ensemble = fit_together(current.ensemble, unseen, corrections.spam, mail, weights, pull=settings.together_pull)
        judged = logits(ensemble, unseen, mail)
    followed = followed_by(replay, change) if replay is not None else None
    if followed is not None and relearnt is not None:
        followed = replace(followed, inputs=replace(followed.inputs, pooled=relearnt.replay))
    thresholds, bands = operating_points(
        current.thresholds, ensemble, corrections, unseen, followed, belief=belief, bands=settings.bands
    )
    told = _told(corrections, replay, unlabelled, trust)
    return Candidate(stages, ensemble, thresholds, bands, before, judged, belief, followed, told)


def trust_of(current: Current, corrections: Corrections, replay: Replay | None, settings: Retrain) -> np.ndarray:
    """What is left (N,) of each correction's weight, as `retrain` finds it before a network learns from them."""
    fitting = _Fitting(current, corrections, replay, None, settings, None)
    standing = standings(current.ensemble, current.stages.scores(corrections.inputs), corrections.inputs.mail)
    before = logits(current.ensemble, standing, corrections.inputs.mail)
    return fitting.believed(folds_of(corrections, settings.folds, settings.seed), before)[0].right


class _Fitting:
    """Fits the stages on some of the corrections; what they have in common is weighed and multiplied once.

    Rows are those of the corrections, then of the replay, then of recent mail. Out of fold the head is fitted to, and
    asked about, states of networks that had not learnt from the message.
    """

    def __init__(
        self, current: Current, corrections: Corrections, replay: Replay | None, unlabelled: Inputs | None,
        settings: Retrain, relearnt: Relearnt | None,
    ) -> None:  # fmt: skip
        self._current, self._corrections, self._replay, self._settings = current, corrections, replay, settings
        whole = corrections.inputs.counts.whole
        _, once = np.unique(corrections.group, return_index=True)
        self._idf = widened_idf(current.stages.ngram, whole[once], least=settings.widen_from)
        wholes, facts = [whole], [corrections.inputs.facts]
        spam, weights = [corrections.spam], [np.zeros(len(corrections))]
        states = [corrections.inputs.pooled if relearnt is None else relearnt.corrections]
        unseen = [corrections.inputs.pooled if relearnt is None else relearnt.corrections_unseen]
        if replay is not None:
            wholes.append(replay.inputs.counts.whole)
            facts.append(replay.inputs.facts)
            states.append(replay.inputs.pooled if relearnt is None else relearnt.replay)
            unseen.append(replay.inputs.pooled if relearnt is None else relearnt.replay_unseen)
            spam.append(replay.spam)
            weights.append(settings.rehearsed * source_weights(replay.source, replay.spam))
        around = [(states[-1], unseen[-1])]
        if unlabelled is not None and len(unlabelled) and settings.unlabelled:
            wholes.append(unlabelled.counts.whole)
            around.append((unlabelled.pooled, unlabelled.pooled))
            spam.append(np.full(len(unlabelled), -1))
            weights.append(np.full(len(unlabelled), settings.unlabelled))
        self._matrix = weighed(sparse.vstack(wholes, format="csr"), self._idf)
        self._alike = products(self._matrix)
        self._spam, self._weights = np.concatenate(spam), np.concatenate(weights)
        self._facts = np.concatenate(facts)
        around_served, around_unseen = (np.concatenate(some).astype(np.float64) for some in zip(*around, strict=True))
        self._served = (np.concatenate(states).astype(np.float64), around_served)
        self._unseen = (np.concatenate(unseen).astype(np.float64), around_unseen)

    def weights(self, rows: np.ndarray, trust: np.ndarray) -> np.ndarray:
        """What each of the given corrections weighs against the others."""
        s = self._settings
        return weights_of(self._corrections[rows], trust[rows], largest=s.largest_share, balance=s.balance)

    def believed(
        self, folds: np.ndarray | None, before: np.ndarray
    ) -> tuple[Belief, np.ndarray | None, np.ndarray]:  # fmt: skip
        """What to believe of the corrections, by `out_of_fold` and the logits (N,) of the model in service; and
        `out_of_fold` of what is believed. Asked twice: who errs is plainer to stages that heed less of it."""
        corrections = self._corrections
        belief = Belief(np.ones(len(corrections)), {})
        unseen, change = self.out_of_fold(folds, belief.right)
        for _ in range(2):
            if unseen is None:
                break
            others = logits(self._current.ensemble, unseen, corrections.inputs.mail)
            belief = believed(corrections, before, others, sure=self._settings.sure)
            if not belief.wrong:
                break
            unseen, change = self.out_of_fold(folds, belief.right)
        return belief, unseen, change

    def stages(self, rows: np.ndarray, trust: np.ndarray, without: np.ndarray | None = None) -> Stages:
        """The three stages, fitted on the given corrections, the replay less rows `without`, and recent mail; with rows
        `without`, the head on states of networks that had not learnt from them."""
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
        states, around = self._served if without is None else self._unseen
        head = fit_head(now.head, states[used], spam, weights, around, pull=s.head_pull)
        return Stages(ngram, learnt, head)

    def out_of_fold(self, folds: np.ndarray | None, trust: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Standings (N, 3) of each correction by stages that were fitted without its fold, None without folds; and by
        how much (R, 3) stages that were fitted without them move the replay's messages."""
        corrections, now = self._corrections, self._current
        count = int(folds.max()) + 1 if folds is not None else 2
        found, change = np.zeros((len(corrections), len(STAGES))), np.zeros((0, len(STAGES)))
        part, unseen = np.zeros(0, np.int64), self._unseen[0].astype(np.float32)
        if self._replay is not None:
            kept = self._replay.inputs
            change = -standings(now.ensemble, now.stages.scores(kept), kept.mail)
            part = np.arange(len(kept)) % count

        def judged(stages: Stages, inputs: Inputs, rows: np.ndarray, first: int = 0) -> np.ndarray:
            asked = replace(inputs[rows], pooled=unseen[first + rows])
            return standings(now.ensemble, stages.scores(asked), asked.mail)

        for fold in range(count):
            held = np.flatnonzero(folds == fold) if folds is not None else np.zeros(0, np.int64)
            rehearsed = np.flatnonzero(part == fold)
            stages = self.stages(np.setdiff1d(np.arange(len(corrections)), held), trust, rehearsed)
            if len(held):
                found[held] = judged(stages, corrections.inputs, held)
            if self._replay is not None:
                change[rehearsed] += judged(stages, self._replay.inputs, rehearsed, len(corrections))
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


def _told(
    corrections: Corrections, replay: Replay | None, unlabelled: Inputs | None, trust: np.ndarray
) -> dict[str, str]:
    ham, spam = counts_of(corrections)
    told = {
        "corrections": f"{len(corrections):,} ({ham:,} different ham, {spam:,} different spam) of "
        f"{len(np.unique(corrections.who)):,} reporter(s); {int((trust < 0.5).sum()):,} doubted",
        "rehearsed": f"{len(replay):,} messages of the bundle's replay" if replay is not None else "nothing",
    }
    if unlabelled is not None and len(unlabelled):
        told["unlabelled"] = f"{len(unlabelled):,} recent messages, as the model before judged them"
    return told
