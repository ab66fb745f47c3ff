"""Bootstrap intervals of the figures, so that a difference within the noise of a test set is seen as such.

Ham and spam are resampled apart (stratified), since their numbers are fixed by how the set was made. A resample is a
row of counts, how often each message was drawn, and every figure is a sum over counts: a thousand resamples of a
thousand messages take a fraction of a second. Percentile intervals: Efron and Tibshirani 1993, chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from trainer.evaluation.metrics import ECE_BINS, bin_of, checked

Interval = tuple[float, float]
_CELLS = 4_000_000  # resamples times messages held at once


def intervals(
    spam: np.ndarray,
    score: np.ndarray,
    *,
    threshold: float = 0.5,
    probability: np.ndarray | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 123,
) -> dict[str, Interval]:
    """(low, high) of every figure of `metrics.figures` that is not a count, with its keys; same arguments, same errors.

    A figure that is not defined on the set has (NaN, NaN). The same seed gives the same intervals.
    """
    spam, score = checked(spam, score)
    if probability is not None:
        checked(spam, probability, "probabilities")
    order = np.argsort(score, kind="stable")
    spam, score = spam[order], score[order]
    probability = None if probability is None else np.asarray(probability, float)[order]
    rng = np.random.default_rng(seed)
    at_once = max(1, min(resamples, _CELLS // len(spam)))
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, resamples, at_once):
        drawn = draws(spam, min(at_once, resamples - start), rng)
        for name, values in resampled(spam, score, drawn, threshold, probability).items():
            found.setdefault(name, []).append(values)
    tail = 100 * (1 - level) / 2
    result: dict[str, Interval] = {}
    for name, blocks in found.items():
        values = np.concatenate(blocks)
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, [tail, 100 - tail]) if len(values) else (math.nan, math.nan)
        result[name] = float(low), float(high)
    return result


def draws(spam: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(B, N): how often each message was drawn, ham among ham and spam among spam."""
    counts = np.zeros((resamples, len(spam)))
    for label in (0, 1):
        members = np.flatnonzero(spam == label)
        if len(members):
            picked = rng.integers(0, len(members), (resamples, len(members)))
            picked += np.arange(resamples)[:, None] * len(members)
            drawn = np.bincount(picked.ravel(), minlength=resamples * len(members))
            counts[:, members] = drawn.reshape(resamples, len(members))
    return counts


def resampled(
    spam: np.ndarray, score: np.ndarray, drawn: np.ndarray, threshold: float, probability: np.ndarray | None
) -> Mapping[str, np.ndarray]:
    """Each figure of each resample (B,), for messages in ascending order of score (N,) and counts `drawn` (B, N)."""
    ham, hits = int((spam == 0).sum()), int((spam == 1).sum())
    called = score >= threshold
    fp, tp = drawn @ (called & (spam == 0)), drawn @ (called & (spam == 1))
    tn, fn = ham - fp, hits - tp
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])  # equal scores count as one place
    ham_at = np.add.reduceat(drawn * (spam == 0), starts, axis=1)
    spam_at = np.add.reduceat(drawn * (spam == 1), starts, axis=1)
    ham_below = np.cumsum(ham_at, axis=1) - ham_at
    spam_above = hits - np.cumsum(spam_at, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = (
            (spam_at * (ham_below + ham_at / 2)).sum(1) / (ham * hits) if ham and hits else np.full(len(drawn), np.nan)
        )
        product = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        found = {
            "accuracy": (tn + tp) / len(spam),
            "precision": tp / (tp + fp),
            "recall": tp / hits if hits else np.full(len(drawn), np.nan),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "mcc": np.where(product > 0, (tp * tn - fp * fn) / product, 0.0),
            "roc_auc": auc,
            "one_minus_roca_percent": 100 * (1 - auc),
            "blocked_ham_percent": 100 * fp / ham if ham else np.full(len(drawn), np.nan),
        }
        found["spam_caught_percent"] = 100 * found["recall"]
        for name, rate in (("recall_at_0.1", 0.001), ("recall_at_0.5", 0.005)):
            allowed = math.floor(rate * ham + 1e-9)
            if allowed < ham:  # the cut is the highest score with more than `allowed` ham at or above it
                place = ((ham - ham_below) > allowed).sum(1) - 1
                found[name] = spam_above[np.arange(len(drawn)), place] / hits
            else:
                found[name] = np.full(len(drawn), 1.0 if hits else np.nan)
    undefined = np.full(len(drawn), np.nan)
    found["ece"] = found["brier"] = undefined
    if probability is not None:
        member = bin_of(probability)[:, None] == np.arange(ECE_BINS)
        gaps = drawn @ (member * (probability - spam)[:, None])
        found["ece"] = np.abs(gaps).sum(1) / len(spam)
        found["brier"] = drawn @ ((probability - spam) ** 2) / len(spam)
    return found
