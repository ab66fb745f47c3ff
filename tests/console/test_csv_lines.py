"""CSV that a spreadsheet only shows."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from spamfilter.console.csv_lines import COLUMNS, csv_lines, harmless

_RUN = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"


@given(st.text(alphabet=st.one_of(st.sampled_from(_RUN + " \n\"',;"), st.characters())))
def test_no_cell_is_run_or_spans_lines(text: str) -> None:
    cell = harmless(text)
    assert not cell.lstrip().startswith(tuple(_RUN))
    assert "\n" not in cell
    assert "\r" not in cell


def test_of_nothing_there_are_the_names() -> None:
    (line,) = csv_lines([])
    assert next(csv.reader(io.StringIO(line))) == list(COLUMNS)


def test_what_is_harmless_stays_as_it_is() -> None:
    assert harmless("ann=x@example.org") == "ann=x@example.org"
