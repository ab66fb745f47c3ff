"""Rows side by side: what is shown, what is kept, what falls short."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
from rich.console import Console

from trainer.evaluation.comparison import Comparison, plain


def _comparison() -> Comparison:
    comparison = Comparison("Sources [left] out", ("roc_auc", "recall_at_0.5", "blocked_ham_percent"))
    comparison.add(
        "model [a]", {"roc_auc": 0.99123, "recall_at_0.5": 0.9, "blocked_ham_percent": 0.5},
        intervals={"roc_auc": (0.985, 0.995)}, wanted={"roc_auc": 0.995, "blocked_ham_percent": 0.6}, minutes=3.14159,
    )  # fmt: skip
    comparison.add("b|c", {"roc_auc": math.nan, "ece": np.float32(0.5)})
    return comparison


def test_markdown_marks_what_falls_short() -> None:
    lines = _comparison().markdown(with_intervals=True).splitlines()
    assert lines[0] == "| model | ROC AUC | recall % at FPR 0.5 % | BH % | minutes |"
    assert lines[1].count("---:") == 4
    assert lines[2] == "| model [a] | 0.99123 (0.98500–0.99500) ✗ wanted 0.99500 | 90.0 | 0.500 | 3.142 |"
    assert lines[3] == "| b\\|c | – | – | – |  |"


def test_less_is_better_where_less_is_better() -> None:
    comparison = Comparison("x")
    row = comparison.add("m", {"blocked_ham_percent": 0.7, "mcc": 0.9}, wanted={"blocked_ham_percent": 0.6, "mcc": 0.9})
    assert row.short_of("blocked_ham_percent") and not row.short_of("mcc") and not row.short_of("ece")
    assert comparison.shortfalls() == ["m: BH % 0.700, wanted 0.600"]
    assert comparison.add("n", {}, wanted={"mcc": 0.1}).falls_short


def test_the_terminal_shows_brackets_as_they_are_and_shared_counts_once() -> None:
    console = Console(width=120, file=io.StringIO())
    comparison = Comparison("On [x]", ("ham", "spam", "roc_auc"))
    for name in ("[red]one", "two"):
        comparison.add(name, {"ham": 1200, "spam": 30, "roc_auc": 0.5})
    console.print(comparison.table())
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    assert "On [x]: 1,200 ham, 30 spam" in text and "[red]one" in text and "AUC" in text
    assert text.count("1,200") == 1


def test_json_holds_everything_in_plain_values(tmp_path: Path) -> None:
    _comparison().save(tmp_path / "new" / "c.json")
    found = json.loads((tmp_path / "new" / "c.json").read_text("utf-8"))
    first, second = found["rows"]
    assert first["reached"] is False and first["minutes"] == 3.14159 and first["intervals"]["roc_auc"] == [0.985, 0.995]
    assert second["figures"] == {"roc_auc": None, "ece": 0.5}
    assert plain({"a": (np.int64(3), np.array([1.5, np.inf]), Path("x"))}) == {"a": [3, [1.5, None], "x"]}
