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
    for part in cell.split(";"):  # where a semicolon separates cells, as in most of Europe
        assert not part.lstrip(" '\"").startswith(tuple(_RUN)) or part.lstrip(' "').startswith("'")
    assert "\n" not in cell
    assert "\r" not in cell


def test_of_nothing_there_are_the_names() -> None:
    (line,) = csv_lines([])
    assert next(csv.reader(io.StringIO(line))) == list(COLUMNS)


def test_what_is_harmless_stays_as_it_is() -> None:
    assert harmless("ann=x@example.org") == "ann=x@example.org"
    assert harmless("a;b; c") == "a;b; c"


def test_a_formula_behind_a_semicolon_is_none() -> None:
    assert harmless('a; "=1+1"@example.org') == 'a; \'"=1+1"@example.org'
