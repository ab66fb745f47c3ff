"""Pictures of the benchmarks of speed: what the steps of a scan cost, and how time grows with size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.evaluation import canvas


def stages(bars: Mapping[str, Mapping[str, float]], steps: Sequence[str], about: str, path: Path) -> None:
    """A stacked bar for each entry of `bars`: its name -> step -> mean milliseconds a mail."""
    figure = canvas.blank(9.5, 0.9 + 0.42 * len(bars))
    ax = figure.subplots()
    names = list(bars)
    left = [0.0] * len(names)
    for number, step in enumerate(steps):
        width = [bars[name].get(step, 0.0) for name in names]
        ax.barh(names, width, left=left, label=step, color=canvas.COLOURS[number % len(canvas.COLOURS)], height=0.72)
        left = [a + b for a, b in zip(left, width, strict=True)]
    for number, total in enumerate(left):
        ax.text(total, number, f" {total:.2f}", va="center", fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, max(left, default=1.0) * 1.08)
    canvas.dress(ax, "milliseconds a mail, mean", "")
    ax.set_title(about, fontsize=9, loc="left")
    ax.legend(loc="lower right", fontsize=8, frameon=False)
    canvas.save(figure, path)


def sizes(curves: Mapping[str, Sequence[tuple[float, float]]], about: str, path: Path) -> None:
    """A line for each entry of `curves`: its name -> (bytes, milliseconds); both axes logarithmic."""
    figure = canvas.blank(8, 5)
    ax = figure.subplots()
    for number, (name, points) in enumerate(curves.items()):
        ax.plot([x for x, _ in points], [y for _, y in points], label=name, marker="o", ms=3, **canvas.line(number))
    ax.set_xscale("log")
    ax.set_yscale("log")
    canvas.dress(ax, "bytes of the message", "milliseconds, best of several")
    ax.set_title(about, fontsize=9, loc="left")
    ax.legend(fontsize=8, frameon=False)
    canvas.save(figure, path)
