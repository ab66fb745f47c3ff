"""Pictures of a run while it trains, from its `metrics.jsonl`: losses and held-out figures over steps and tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.errors import DataError
from trainer.evaluation.canvas import blank, dress, line, save

_NOT_DRAWN = frozenset({"step", "time", "rate", "lr", "tokens", "seconds", "trained", "total"})
_NAMES = {"loss": "train loss", "holdout_auc": "holdout ROC AUC"}
_MARKED = 40  # with fewer points than this each is marked


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a run's `metrics.jsonl`, numbers only. Raises DataError naming file and line."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; a run writes it while it trains") from None
    found = []
    for number, text in enumerate(lines, 1):
        try:
            values = json.loads(text)
        except ValueError:
            if number == len(lines):
                continue  # a run that was killed leaves half a line
            raise DataError(f"{path}:{number}: not JSON; remove the line") from None
        found.append({key: float(value) for key, value in values.items() if isinstance(value, int | float)})
    return found


def curves(metrics: Sequence[Mapping[str, float]], title: str = "training") -> Figure:
    """Losses above, held-out figures below, over optimizer steps, with millions of tokens on a second axis.

    Reads the keys of `trainer.run` (step, loss, rate in tokens a second, time in seconds) and `tokens` where it is
    logged; every other key that ends in `loss` is drawn with the losses, whatever else below. Raises DataError where
    there is nothing to draw.
    """
    lines = [values for values in metrics if "step" in values]
    keys = list(dict.fromkeys(key for values in lines for key in values if key not in _NOT_DRAWN))
    losses = [key for key in keys if key.endswith("loss")]
    groups = [(losses, "loss (nats)"), ([key for key in keys if key not in losses], "held-out figure")]
    drawn = [(group, label) for group, label in groups if group]
    if not drawn:
        raise DataError(f"{title}: nothing to draw; has the run logged a step yet?")
    figure = blank(6.4, 0.8 + 2.4 * len(drawn))
    axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (group, label) in zip(axes, drawn, strict=True):
        for number, key in enumerate(group):
            x, y = np.array([(values["step"], values[key]) for values in lines if key in values]).T
            name = _NAMES.get(key, key.replace("_", " "))
            ax.plot(x, y, label=name, marker="o" if len(x) < _MARKED else "", markersize=3.5, **line(number))
        dress(ax, "", label)
        ax.legend(frameon=False)
    axes[-1].set_xlabel("optimizer steps")
    axes[0].set_title(title)
    if pace := tokens_a_step(lines):
        _tokens_axis(axes[0], pace)
    return figure


def tokens_a_step(lines: Sequence[Mapping[str, float]]) -> float:
    """Mean tokens that a step read: from `tokens` where logged, else from pace and clock; 0 where neither is known."""
    counted = [(values["tokens"], values["step"]) for values in lines if values.get("tokens") and values["step"]]
    if counted:
        return counted[-1][0] / counted[-1][1]
    timed = [values for values in lines if "rate" in values and "time" in values]
    steps = [
        now["rate"] * (now["time"] - before["time"]) / (now["step"] - before["step"])
        for before, now in pairwise(timed)
        if now["step"] > before["step"] and now["time"] > before["time"]
    ]
    return float(np.median(steps)) if steps else 0.0  # the median, since a run may have rested for a night


def _tokens_axis(ax: Axes, pace: float) -> None:
    millions = pace / 1e6
    above = ax.secondary_xaxis(
        "top", functions=(lambda x: np.asarray(x) * millions, lambda x: np.asarray(x) / millions)
    )
    above.set_xlabel("tokens read (millions)")


def draw(run: Path) -> Path:
    """Draw the curves of a run's `metrics.jsonl` as `curves.png` beside it."""
    path = run / "curves.png"
    save(curves(read_metrics(run / "metrics.jsonl"), run.name), path)
    return path
