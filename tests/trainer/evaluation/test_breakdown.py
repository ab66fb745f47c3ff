"""Per-source rows and the list of worst mistakes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from trainer.errors import DataError
from trainer.evaluation.breakdown import by_source, opening, worst


def _table() -> pd.DataFrame:
    rows = [
        ("list", "a", 0, "from: ann @example.org\nsubject: minutes", "long text"),
        ("list", "b", 0, "", "hello   there\nyou"),
        ("list", "c", 0, "subject: ", "words of the body"),
        ("sms", "d", 1, "", "win " * 100),
        ("sms", "e", 1, "subject: prize", ""),
        ("sms", "f", 1, "subject: meeting", ""),
    ]
    return pd.DataFrame(rows, columns=["source", "path", "spam", "preamble", "text"])


def test_the_worst_come_first_with_where_and_what() -> None:
    found = worst(_table(), np.array([0.7, 0.99, 0.1, 0.9, 0.3, 0.01]))
    assert [(m.path, m.opening) for m in found.ham] == [("b", "hello there you"), ("a", "minutes")]
    assert [(m.path, m.probability, m.opening) for m in found.spam] == [("f", 0.01, "meeting"), ("e", 0.3, "prize")]
    assert found.ham[0].source == "list" and not found.ham[0].spam


def test_the_list_is_no_longer_than_asked_and_knows_its_threshold() -> None:
    probability = np.array([0.7, 0.99, 0.1, 0.9, 0.3, 0.01])
    assert [m.path for m in worst(_table(), probability, most=1).ham] == ["b"]
    strict = worst(_table(), probability, threshold=0.95)
    assert [m.path for m in strict.ham] == ["b"]
    assert [m.path for m in strict.spam] == ["f", "e", "d"]


def test_an_opening_is_one_short_line() -> None:
    assert len(opening("", "win " * 100)) == 80
    assert opening("", "win " * 100).endswith("…")
    assert opening("subject: ", "words of\nthe body") == "words of the body"
    assert opening("", "") == ""


def test_nan_is_refused() -> None:
    with pytest.raises(DataError, match="probabilities are NaN, the first in row 0"):
        worst(_table(), np.full(6, np.nan))


def test_a_row_a_source_in_order_of_appearance() -> None:
    table = _table()
    probability = np.array([0.7, 0.2, 0.1, 0.9, 0.8, 0.01])
    found = by_source(table["source"].to_numpy(), table["spam"].to_numpy(), probability, probability=probability)
    assert list(found) == ["list", "sms"]
    assert found["list"]["fp"] == 1 and found["list"]["ham"] == 3 and found["list"]["spam"] == 0
    assert found["sms"]["recall"] == pytest.approx(2 / 3)
