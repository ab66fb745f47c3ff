"""Thresholds between measured rows: promised is only what a row has shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from spamfilter.classifier.bundle import Bundle, BundleError, default_bundle, open_bundle
from spamfilter.config import load
from spamfilter.console.operating_table import Expected, Row, config_lines, expected, nearest, rows
from spamfilter.operating_point import resolve_policy
from spamfilter.verdict import Thresholds

TABLE = [Row(0.99, 0.001, 0.2), Row(0.9, 0.01, 0.5), Row(0.5, 0.1, 0.9)]


@pytest.mark.parametrize(
    ("threshold", "ham_lost", "caught"),
    [
        (0.99, 0.001, 0.2),
        (0.9, 0.01, 0.5),
        (0.95, 0.01, 0.2),
        (0.999, 0.001, None),
        (0.4, None, 0.9),
        (1.0, 0.001, None),
    ],
)
def test_between_rows_the_careful_one_counts(threshold: float, ham_lost: float | None, caught: float | None) -> None:
    assert expected(TABLE, threshold) == Expected(ham_lost, caught)


def test_the_nearest_row_is_where_the_slider_stands() -> None:
    assert [nearest(TABLE, at) for at in (1.0, 0.93, 0.0)] == [0, 1, 2]


def test_the_shipped_table_is_read_strictest_first() -> None:
    found = rows(open_bundle(default_bundle()))
    assert [row.ham_lost for row in found] == sorted(row.ham_lost for row in found)
    assert [row.probability for row in found] == sorted((row.probability for row in found), reverse=True)


@pytest.mark.parametrize(
    "table", [[], [{"probability": 0.5}], [{"probability": "x", "false_positive_rate": 0.1}], None]
)
def test_a_damaged_table_is_an_error_for_people(table: Any) -> None:
    with pytest.raises(BundleError, match="table of thresholds"):
        rows(Bundle(Path("/x"), {"thresholds": table}))


@pytest.mark.parametrize("place", [(0, 3), (4, 9), (9, 9)])
def test_the_lines_bring_about_what_they_were_shown_for(place: tuple[int, int], tmp_path: Path) -> None:
    bundle = open_bundle(default_bundle())
    table = rows(bundle)
    wanted = Thresholds(unsure_at=table[place[1]].probability, spam_at=table[place[0]].probability)
    (tmp_path / "c.yaml").write_text(config_lines(table, wanted))
    found = resolve_policy(load(tmp_path / "c.yaml", environ={}).policy, bundle).thresholds
    assert (found.spam_at, found.unsure_at) == pytest.approx((wanted.spam_at, wanted.unsure_at))


def test_other_thresholds_are_written_as_numbers() -> None:
    written = yaml.safe_load(config_lines(TABLE, Thresholds(unsure_at=0.5, spam_at=0.97)))
    assert written == {"policy": {"spam_at": 0.97, "unsure_at": 0.5}}
