"""A probability drawn on a scale of log-odds, with the thresholds where the verdict turns.

On a plain scale 98 % and 99.8 % lie side by side, and so do 1 % and nothing; the thresholds of a spam filter are there.
"""

from __future__ import annotations

import math

from markupsafe import Markup

from spamfilter.console.shown import percent
from spamfilter.verdict import Thresholds

_WIDTH, _HEIGHT = 440, 62
_LEFT, _RIGHT = 12, 428
_TOP, _BAR = 22, 14
_EDGE = math.log(0.9995 / 0.0005)
_TICKS = (0.01, 0.1, 0.5, 0.9, 0.99)


def place(probability: float) -> float:
    """Where a probability (0-1) lies on the scale: 0 at its left end, 1 at its right."""
    bounded = min(max(probability, 1e-9), 1 - 1e-9)
    logit = math.log(bounded / (1 - bounded))
    return min(max((logit + _EDGE) / (2 * _EDGE), 0.0), 1.0)


def meter(probability: float, thresholds: Thresholds) -> Markup:
    """An SVG with a text alternative: three zones, ticks, and a hand at the probability."""
    unsure, spam, hand = (_x(at) for at in (thresholds.unsure_at, thresholds.spam_at, probability))
    zones = (("ham", _LEFT, unsure), ("unsure", unsure, spam), ("spam", spam, _RIGHT))
    bars = Markup("").join(
        Markup('<rect class="zone {}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
            name, begin, _TOP, max(0.0, end - begin), _BAR
        )
        for name, begin, end in zones
    )
    ticks = Markup("").join(
        Markup('<line class="tick" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
               '<text class="scale" x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>').format(
            _x(tick), _TOP + _BAR, _TOP + _BAR + 5, _TOP + _BAR + 19, f"{tick * 100:g}%"
        )
        for tick in _TICKS
    )  # fmt: skip
    alternative = (
        f"{percent(probability)} on a scale from ham to spam; unsure from {percent(thresholds.unsure_at)}, "
        f"spam from {percent(thresholds.spam_at)}"
    )
    return Markup(
        '<svg class="meter" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}'
        '<path class="hand" d="M{:.1f} {} l-8 -13 h16 z"/></svg>'
    ).format(_WIDTH, _HEIGHT, alternative, bars, ticks, hand, _TOP + 2)


def _x(probability: float) -> float:
    return _LEFT + place(probability) * (_RIGHT - _LEFT)
