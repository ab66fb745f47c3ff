"""Charts: figures where they belong, text that stays text, and the same figures as a table."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from spamfilter.console.charts import HEIGHT, WIDTH, Line, Series, bars, compact, lines, percent


def drawn(html: str) -> ElementTree.Element:
    """The SVG of a chart, as XML."""
    found = re.search(r"<svg.*</svg>", html)
    assert found is not None
    return ElementTree.fromstring(found.group())


def test_bars_stand_on_one_another() -> None:
    chart = bars("mail", ["mon", "tue"], [Series("ham", "ham", [10, 0]), Series("spam", "spam", [5, 20])])
    boxes = {}
    for box in drawn(chart).iter("rect"):
        boxes.setdefault(box.get("class"), []).append(box)
    ham, (spam, other) = boxes["ham"][0], boxes["spam"]
    assert len(boxes["ham"]) == 1, "nothing is drawn of nothing"
    assert float(ham.get("height", 0)) == pytest.approx(2 * float(spam.get("height", 0)), abs=0.2)
    assert float(spam.get("y", 0)) + float(spam.get("height", 0)) == pytest.approx(float(ham.get("y", 0)), abs=0.2)
    assert float(other.get("x", 0)) > float(spam.get("x", 0))


def test_every_figure_is_in_the_table_too() -> None:
    chart = bars("mail", ["mon"], [Series("ham", "ham", [10]), Series("spam", "spam", [12_345])])
    assert re.findall(r"<td>([^<]*)</td>", chart) == ["mon", "10", "12.3k"]


@pytest.mark.parametrize(
    "empty", [bars("x", [], []), bars("x", ["a"], [Series("s", "ham", [0])]), lines("x", [], x="y")]
)
def test_nothing_is_a_chart_as_well(empty: str) -> None:
    assert drawn(empty).get("aria-label") == "x"


def test_text_of_strangers_stays_text() -> None:
    hostile = '<script>"&'
    chart = bars(hostile, [hostile], [Series(hostile, "ham", [1])])
    assert "<script" not in chart
    assert drawn(chart).get("aria-label") == hostile


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_lines_stay_within_the_picture(scale: float) -> None:
    points = [(scale * n, scale * (n % 7 - 3)) for n in range(100)]
    (line,) = drawn(lines("x", [Line("a", "accent", points)], x="step", from_zero=False)).iter("polyline")
    for place in line.get("points", "").split():
        x, y = map(float, place.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_one_point_is_drawn() -> None:
    (dot,) = drawn(lines("x", [Line("a", "accent", [(5, 5)])], x="step")).iter("circle")
    assert dot.find("title").text == "a: 5 at step 5"  # type: ignore[union-attr]


def test_of_many_points_the_table_has_some_and_the_last() -> None:
    chart = lines("x", [Line("a", "accent", [(n, n * n) for n in range(101)])], x="step")
    cells = re.findall(r"<td>([^<]*)</td>", chart)
    assert cells[-2:] == ["100", "10k"]
    assert len(cells) <= 30


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (999, "999"), (1500, "1.5k"), (2e6, "2M"), (0.01234, "0.0123")])
def test_figures_are_short(value: float, text: str) -> None:
    assert compact(value) == text


def test_shares_are_per_cent() -> None:
    assert [percent(0.005), percent(1.0)] == ["0.5%", "100%"]
