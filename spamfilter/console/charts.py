"""Charts as inline SVG, drawn on the server: the same picture with and without JavaScript, and as a table beneath.

A chart has a fixed size of `WIDTH` by `HEIGHT` units and is scaled by the page. Colours are classes, which the
stylesheet knows; every mark says its figures in a `<title>`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 24
_MOST_ROWS = 12
_TICKS = 4
_LABELS = 6

Shown = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """Values by label, for bars; `style` is a class of the stylesheet: ham, unsure, spam, accent, muted."""

    name: str
    style: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, y) by rising x; `style` as in `Series`."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


def compact(value: float) -> str:
    """A figure with three digits at most, and k or M where it is large."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def percent(value: float) -> str:
    """A share (0-1) in per cent."""
    return f"{100 * value:.3g}%"


def bars(title: str, labels: Sequence[str], series: Sequence[Series], *, shown: Shown = compact) -> Markup:
    """Stacked bars, one a label, the first series at the foot."""
    totals = [sum(one.values[place] for one in series) for place in range(len(labels))]
    top, ticks = _scale(max(totals, default=0.0))
    slot = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    marks: list[str] = []
    for place, label in enumerate(labels):
        said = ", ".join(f"{one.name} {shown(one.values[place])}" for one in series)
        marks.append(f"<g><title>{escape(f'{label}: {said}')}</title>")
        foot = 0.0
        for one in series:
            value = one.values[place]
            if value > 0:
                y, height = _y(foot + value, top), (HEIGHT - _TOP - _BOTTOM) * value / top
                x, width = _LEFT + place * slot + slot * 0.1, slot * 0.8
                marks.append(_box(one.style, x, y, width, max(height, 0.75)))
            foot += value
        marks.append(_box("hover", _LEFT + place * slot, _TOP, slot, HEIGHT - _TOP - _BOTTOM) + "</g>")
    every = max(1, math.ceil(len(labels) / _LABELS))
    named = [(_LEFT + (place + 0.5) * slot, labels[place]) for place in range(0, len(labels), every)]
    rows = [(label, *(shown(one.values[place]) for one in series)) for place, label in enumerate(labels)]
    return _figure(title, [(one.name, one.style) for one in series], marks, ticks, top, named, shown, rows)


def lines(
    title: str, series: Sequence[Line], *, x: str, shown: Shown = compact, shown_x: Shown = compact,
    from_zero: bool = True,
) -> Markup:  # fmt: skip
    """Lines over a common x axis, which is named `x`. Without `from_zero` the y axis begins at the smallest value."""
    points = [point for one in series for point in one.points]
    first, last = min((p[0] for p in points), default=0.0), max((p[0] for p in points), default=1.0)
    lowest, highest = min((p[1] for p in points), default=0.0), max((p[1] for p in points), default=1.0)
    floor = 0.0 if from_zero else _round_below(lowest, highest)
    top, ticks = _scale(highest - floor)
    width = WIDTH - _LEFT - _RIGHT

    def at(value: float) -> float:
        return _LEFT + width * (value - first) / ((last - first) or 1.0)

    marks = []
    for one in series:
        path = " ".join(f"{at(px):.1f},{_y(py - floor, top):.1f}" for px, py in one.points)
        marks.append(f'<polyline class="line {one.style}" points="{path}"/>')
        for px, py in one.points if len(one.points) <= _MOST_ROWS else one.points[-1:]:
            said = escape(f"{one.name}: {shown(py)} at {x} {shown_x(px)}")
            marks.append(
                f'<circle class="dot {one.style}" cx="{at(px):.1f}" cy="{_y(py - floor, top):.1f}" r="3">'
                f"<title>{said}</title></circle>"
            )
    named = [(at(value), shown_x(value)) for value in _round_between(first, last)]
    rows = _thinned(series, shown, shown_x)
    legend = [(one.name, one.style) for one in series]
    return _figure(title, legend, marks, ticks, top, named, lambda y: shown(y + floor), rows, x)


def _thinned(series: Sequence[Line], shown: Shown, shown_x: Shown) -> list[tuple[str, ...]]:
    """Some of the points as rows, the last among them."""
    found = []
    places = sorted({px for one in series for px, _ in one.points})
    every = max(1, math.ceil(len(places) / _MOST_ROWS))
    for place in sorted({*islice(places, 0, None, every), *places[-1:]}):
        values = (dict(one.points).get(place) for one in series)
        found.append((shown_x(place), *("" if value is None else shown(value) for value in values)))
    return found


def _scale(highest: float, parts: int = _TICKS) -> tuple[float, list[float]]:
    """The top of an axis from 0 and its ticks, in steps of 1, 2 or 5 times a power of ten."""
    if not highest > 0:
        return 1.0, [0.0]
    rough = highest / parts
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    count = math.ceil(highest / step - 1e-9)
    return step * count, [step * place for place in range(count + 1)]


def _round_below(lowest: float, highest: float) -> float:
    """A round number not above `lowest`, by the steps of an axis that reaches `highest`."""
    _, ticks = _scale(highest - lowest)
    step = ticks[1] if len(ticks) > 1 else 1.0
    return step * math.floor(lowest / step)


def _round_between(first: float, last: float) -> list[float]:
    """A few round numbers from `first` to `last`."""
    _, ticks = _scale(last - first, _LABELS + 2)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    begin, end = math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9)
    return [step * place for place in range(begin, end + 1)] or [first]


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top


def _box(style: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _figure(
    title: str, legend: Sequence[tuple[str, str]], marks: Sequence[str], ticks: Sequence[float], top: float,
    named: Sequence[tuple[float, str]], shown: Shown, rows: Sequence[tuple[str, ...]], x: str = "",
) -> Markup:  # fmt: skip
    """Axes, marks, legend, and the table for those who read rather than look."""
    grid = "".join(
        f'<path class="grid-line" d="M{_LEFT} {_y(tick, top):.1f}H{WIDTH - _RIGHT}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{_y(tick, top) + 4:.1f}" text-anchor="end">{escape(shown(tick))}</text>'
        for tick in ticks
    )
    below = "".join(
        f'<text class="tick" x="{min(max(place, _LEFT), WIDTH - 2 * _RIGHT):.1f}" y="{HEIGHT - 6}" '
        f'text-anchor="middle">{escape(label)}</text>'
        for place, label in named
    )
    keys = "".join(f'<li><span class="key {style}"></span>{escape(name)}</li>' for name, style in legend)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (x, *(name for name, _ in legend)))
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return Markup(
        f'<figure class="drawing"><figcaption>{escape(title)}</figcaption>'
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{grid}{below}{''.join(marks)}</svg>"
        f'<ul class="legend">{keys}</ul><details><summary>Figures</summary>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(title)}"><table class="table">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        "</details></figure>"
    )
