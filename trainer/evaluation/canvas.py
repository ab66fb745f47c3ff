"""How every picture looks: colours, lines, axes, and the way from a Figure to a PNG without pyplot's global state.

Colours are Okabe and Ito's (2008), told apart with every common colour blindness; lines differ in dashes as well, so
that a grey print reads, too.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
_DPI = 144


def blank(width: float, height: float) -> Figure:
    """An empty white figure of so many inches, its parts laid out without overlap."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def line(number: int) -> dict[str, Any]:
    """The look of the n-th line: colour and dashes of its own, the first one bolder."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number % len(DASHES)],
        "linewidth": 2.2 if number == 0 else 1.5,
    }


def dress(ax: Axes, x: str, y: str) -> None:
    """Labels, a light grid, no frame on the right and above."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(True, color="0.9", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def png(figure: Figure) -> bytes:
    """The figure as PNG, for embedding."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(figure))
