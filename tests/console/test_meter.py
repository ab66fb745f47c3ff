"""The scale of the meter: in order, bounded, and told in words."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from spamfilter.console.meter import meter, place
from spamfilter.verdict import Thresholds


def test_the_scale_is_in_order_and_even() -> None:
    places = [place(p) for p in (0.0, 0.001, 0.01, 0.5, 0.99, 0.999, 1.0)]
    assert places == sorted(places)
    assert places[0] == 0 and places[-1] == 1 and place(0.5) == pytest.approx(0.5)
    assert place(0.99) == pytest.approx(1 - place(0.01))


@pytest.mark.parametrize(("unsure_at", "spam_at"), [(0.5, 0.9), (0.0, 1.0), (0.9, 0.9), (0.0, 0.0), (1.0, 1.0)])
def test_the_zones_meet_and_fill_the_scale(unsure_at: float, spam_at: float) -> None:
    svg = ElementTree.fromstring(meter(0.7, Thresholds(unsure_at, spam_at)))
    zones = [(float(r.attrib["x"]), float(r.attrib["width"])) for r in svg if r.attrib["class"].startswith("zone")]
    assert len(zones) == 3
    for (begin, width), (after, _) in pairwise(zones):
        assert begin + width == pytest.approx(after, abs=0.11)


def test_it_is_told_in_words() -> None:
    label = re.search(r'aria-label="([^"]+)"', meter(0.7, Thresholds(0.5, 0.9)))
    assert label is not None
    assert label[1] == "70.0 % on a scale from ham to spam; unsure from 50.0 %, spam from 90.0 %"
