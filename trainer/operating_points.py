"""Where a retrained candidate's thresholds and bands lie, read from scores of messages that its stages had not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from spamfilter.classifier.cascade import logit
from trainer import cascade
from trainer.cascade import Contribution
from trainer.ham_tail import cut
from trainer.replay import Replay
from trainer.stacking import STAGES, threshold_table
from trainer.trust import Belief, Corrections
from trainer.warm import Ensemble, counted, logits


def operating_points(
    now: Sequence[Mapping[str, float]], ensemble: Ensemble, corrections: Corrections, unseen: np.ndarray | None,
    replay: Replay | None, *, belief: Belief, bands: bool = True,
) -> tuple[list[dict[str, float]], dict[str, Any]]:  # fmt: skip
    """The table of thresholds and the cascade's bands: each budget holds on every origin of the replay's calibration
    (the candidate's scores), and on the corrections out of fold (`unseen`, (N, 3)) as far as their labels hold.
    Without a replay the thresholds in force, `now`, stay the least."""
    origins: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
    if replay is not None:
        known = replay.calibrating
        for number, name in enumerate(known.names):
            mine = known.origin == number
            origins.append((name, known.standing[mine], known.spam[mine], known.mail[mine]))
    table = threshold_table([(expit(logits(ensemble, s, m)), y) for _, s, y, m in origins]) if origins else []
    if not table:
        table = [{**row} for row in now]
    if unseen is not None:
        mail = corrections.inputs.mail
        ham = corrections.spam == 0
        raise_for(table, logits(ensemble, unseen, mail)[ham], belief.holds(corrections.who)[ham])
        origins.append(("corrections", unseen, corrections.spam, mail))
    return table, _bands(origins, ensemble, table) if bands else {}


def raise_for(table: list[dict[str, float]], ham: np.ndarray, weights: np.ndarray) -> None:
    """Raise thresholds in place until each budget is expected to hold on ham like the given, too, by its logits and
    what its labels are worth (H,). A smaller budget never has the lower threshold."""
    strictest = 0.0
    for row in sorted(table, key=lambda row: -row["false_positive_rate"]):
        least = 0.5 * (1 + math.tanh(cut(ham, weights, row["false_positive_rate"]) / 2))
        strictest = max(strictest, row["probability"], math.floor(least * 1e6 + 1) / 1e6 if least else 0.0)
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
