"""Pictures of how a filter judges: ROC, detection error trade-off, reliability, scores, confusion.

Each function gives a matplotlib Figure; several models lie over each other by name, the first one drawn the boldest.
Pictures of a run while it trains are in `trainer.evaluation.curves`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from scipy.stats import norm
from sklearn.metrics import roc_curve

from trainer.errors import DataError
from trainer.evaluation.canvas import COLOURS, DASHES, blank, dress, line, png, save
from trainer.evaluation.metrics import ECE_BINS, bin_of, checked, confusion

__all__ = ["confusion_matrix", "det", "histogram", "png", "reliability", "roc", "save", "wilson"]

HAM, SPAM = COLOURS[0], COLOURS[1]
_DECIMALS = 12
_ENOUGH = 10  # messages in a bin whose share of spam says something


def roc(spam: np.ndarray, scores: Mapping[str, np.ndarray]) -> Figure:
    """ROC curves of several models: share of spam caught over share of ham blocked (log axis)."""
    figure = blank(5.6, 4.4)
    ax = figure.subplots()
    floor = 0.5 / max(int((np.asarray(spam) == 0).sum()), 1)
    for number, (name, score) in enumerate(scores.items()):
        fpr, tpr = _operating_points(spam, score)
        ax.step(np.maximum(fpr, floor), 100 * tpr, where="post", label=name, **line(number))
    for rate in (0.001, 0.005):
        ax.axvline(rate, color="0.6", linewidth=0.8, linestyle=":")
    ax.set_xscale("log")
    ax.set_xlim(floor, 1)
    ax.set_ylim(0, 101)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))
    dress(ax, "ham blocked (false positive rate, log scale; dots mark 0.1 % and 0.5 %)", "spam caught (%)")
    ax.set_title("ROC")
    ax.legend(frameon=False, loc="lower right")
    return figure


def det(spam: np.ndarray, scores: Mapping[str, np.ndarray]) -> Figure:
    """Detection error trade-off: spam missed over ham blocked, both on log axes; lower left is better."""
    figure = blank(5.6, 4.4)
    ax = figure.subplots()
    labels = np.asarray(spam)
    floors = [0.5 / max(int((labels == label).sum()), 1) for label in (0, 1)]
    for number, (name, score) in enumerate(scores.items()):
        fpr, tpr = _operating_points(spam, score)
        ax.step(np.maximum(fpr, floors[0]), np.maximum(1 - tpr, floors[1]), where="post", label=name, **line(number))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(floors[0], 1)
    ax.set_ylim(floors[1], 1)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))
    dress(ax, "ham blocked (false positive rate, log scale)", "spam missed (miss rate, log scale)")
    ax.set_title("Detection error trade-off")
    ax.legend(frameon=False, loc="best")
    return figure


def reliability(spam: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> Figure:
    """Share of spam beside the mean probability of each of 15 equal bins, with Wilson 95 % bars for the first model.

    Lines join bins of at least ten messages; of emptier ones only the first model's are shown, as rings.
    """
    figure = blank(4.8, 4.6)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color="0.5", linewidth=0.9, linestyle=":", label="perfectly calibrated")
    for number, (name, given) in enumerate(probabilities.items()):
        labels, probability = checked(spam, given, "probabilities")
        places = bin_of(probability)
        count = np.bincount(places, minlength=ECE_BINS)
        full = count > 0
        x = np.bincount(places, weights=probability, minlength=ECE_BINS)[full] / count[full]
        y = np.bincount(places, weights=labels, minlength=ECE_BINS)[full] / count[full]
        if number == 0:
            low, high = wilson(y, count[full])
            ax.vlines(x, low, high, color=COLOURS[0], alpha=0.35, linewidth=2.5)
            ax.plot(x, y, marker="o", markersize=5, markerfacecolor="white", color=COLOURS[0], linestyle="")
        sure = count[full] >= _ENOUGH
        ax.plot(x[sure], y[sure], marker="o", markersize=5, label=name, **line(number))
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_aspect("equal")
    dress(ax, "mean probability in the bin", "share of spam in the bin")
    ax.set_title("Reliability (15 bins)")
    ax.legend(frameon=False, loc="lower right")
    return figure


def histogram(spam: np.ndarray, probability: np.ndarray, cuts: Mapping[str, float] | None = None) -> Figure:
    """How many ham and spam got which probability (log count), with the named thresholds as lines."""
    labels, probability = checked(spam, probability, "probabilities")
    figure = blank(5.8, 3.8)
    ax = figure.subplots()
    edges = [number / 40 for number in range(41)]
    for label, name, colour, hatch in ((0, "ham", HAM, ""), (1, "spam", SPAM, "///")):
        values = probability[labels == label]
        ax.hist(values, edges, alpha=0.55, color=colour, edgecolor=colour, hatch=hatch, label=f"{name} ({len(values)})")
    ax.set_yscale("symlog", linthresh=1)
    ax.set_xlim(0, 1)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    for (name, cut), dashes in zip((cuts or {}).items(), DASHES[1:], strict=False):
        ax.axvline(cut, color="black", linewidth=1.2, linestyle=dashes, label=f"{name} {cut:.3f}")
    dress(ax, "probability of spam", "messages (log scale)")
    ax.set_title("Scores of ham and spam")
    ax.legend(framealpha=1, edgecolor="white", loc="upper center")
    return figure


def confusion_matrix(spam: np.ndarray, called: np.ndarray, title: str = "Confusion at the default cut") -> Figure:
    """Counts and shares of what ham and spam were called; `called` (N,) bool."""
    tn, fp, fn, tp = confusion(spam, called)
    counts = np.array([[tn, fp], [fn, tp]], float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = blank(4.4, 3.6)
    ax = figure.subplots()
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1.25)
    for row in range(2):
        for column in range(2):
            ax.text(
                column, row, f"{counts[row, column]:.0f}\n{100 * shares[row, column]:.2f} %", ha="center", va="center",
                fontsize=13, color="white" if shares[row, column] > 0.6 else "black",
            )  # fmt: skip
    ax.set_xticks([0, 1], ["called ham", "called spam"])
    ax.set_yticks([0, 1], ["is ham", "is spam"])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_title(title)
    return figure


def wilson(share: np.ndarray, count: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval (1927) of shares (K,) of counts (K,)."""
    z = float(norm.ppf(0.5 + level / 2))
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def _operating_points(spam: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, score = checked(spam, score)
    if len(np.unique(labels)) < 2:
        raise DataError("a curve needs ham and spam; the set has only one of them")
    ranks = np.unique(score, return_inverse=True)[1]
    fpr, tpr, _ = roc_curve(labels, ranks)
    return np.round(fpr, _DECIMALS), np.round(tpr, _DECIMALS)
