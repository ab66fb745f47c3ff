"""Rows of figures side by side, for every experiment alike: on the terminal, in markdown, as JSON.

A row may say what was wanted of it; what falls short is marked, and `shortfalls` says it in words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from trainer.evaluation.metrics import FIGURES

HEADLINE = (
    "ham", "spam", "accuracy", "spam_caught_percent", "blocked_ham_percent", "mcc", "roc_auc", "one_minus_roca_percent",
    "recall_at_0.1", "recall_at_0.5", "ece",
)  # fmt: skip
"""The columns that a comparison shows unless it is told others; all figures are kept in the JSON."""
MARK = "✗"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: figures by the keys of `metrics.FIGURES`, their intervals, what was wanted, and anything besides."""

    name: str
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    wanted: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def short_of(self, key: str) -> bool:
        """True when a figure was wanted and is missing, undefined or worse."""
        if key not in self.wanted:
            return False
        value = self.figures.get(key, math.nan)
        better = FIGURES[key].better if key in FIGURES else 1
        return math.isnan(value) or (value - self.wanted[key]) * (better or 1) < -1e-12

    @property
    def falls_short(self) -> bool:
        """True when anything wanted was not reached."""
        return any(map(self.short_of, self.wanted))


@dataclass(slots=True)
class Comparison:
    """Named rows under one title. `columns` are keys of figures; keys of `Row.extra` follow them as columns.

    `leading` is the title of the column of names.
    """

    title: str
    columns: Sequence[str] = HEADLINE
    leading: str = "model"
    rows: list[Row] = field(default_factory=list)

    def add(
        self,
        name: str,
        figures: Mapping[str, float],
        *,
        intervals: Mapping[str, tuple[float, float]] | None = None,
        wanted: Mapping[str, float] | None = None,
        **extra: Any,
    ) -> Row:
        """Append a row and give it back."""
        row = Row(name, dict(figures), dict(intervals or {}), dict(wanted or {}), extra)
        self.rows.append(row)
        return row

    @property
    def extras(self) -> list[str]:
        """Columns beside the figures, in order of first appearance."""
        return list(dict.fromkeys(key for row in self.rows for key in row.extra))

    def head(self) -> list[str]:
        """The titles of all columns."""
        titles = [_title(key) for key in self.columns]
        return [self.leading, *titles, *(key.replace("_", " ") for key in self.extras)]

    def cells(self, *, with_intervals: bool = False) -> Iterator[list[str]]:
        """Each row as text; marked with ✗ and the wanted figure where it falls short."""
        for row in self.rows:
            shown = [row.name]
            for key in self.columns:
                text = _show(key, row.figures.get(key, math.nan))
                if with_intervals and key in row.intervals and not math.isnan(row.intervals[key][0]):
                    text += " ({}–{})".format(*(_show(key, end) for end in row.intervals[key]))
                if row.short_of(key):
                    text += f" {MARK} wanted {_show(key, row.wanted[key])}"
                shown.append(text)
            shown += [_plain(row.extra.get(key, "")) for key in self.extras]
            yield shown

    def shortfalls(self) -> list[str]:
        """One sentence for each figure that falls short of what was wanted."""
        return [
            f"{row.name}: {_title(key)} {_show(key, row.figures.get(key, math.nan))}, wanted {_show(key, wanted)}"
            for row in self.rows
            for key, wanted in row.wanted.items()
            if row.short_of(key)
        ]

    def table(self, *, with_intervals: bool = False) -> Table:
        """For a terminal: short titles, rows that fall short in red, counts that all rows share in the title."""
        shared = [
            key
            for key in ("ham", "spam")
            if key in self.columns and len({row.figures.get(key) for row in self.rows}) == 1
        ]
        counts = ", ".join(f"{self.rows[0].figures.get(key, math.nan):,.0f} {key}" for key in shared)
        table = Table(
            title=escape(self.title + (f": {counts}" if counts else "")), title_justify="left", box=SIMPLE_HEAD
        )
        keys = ["", *self.columns, *self.extras]
        for key, title in zip(keys, self.head(), strict=True):
            if key not in shared:
                short = FIGURES[key].short if key in FIGURES else ""
                table.add_column(escape(short or title), justify="right" if key else "left", no_wrap=bool(key))
        for row, cells in zip(self.rows, self.cells(with_intervals=with_intervals), strict=True):
            kept = [escape(cell) for key, cell in zip(keys, cells, strict=True) if key not in shared]
            table.add_row(*kept, style="red" if row.falls_short else None)
        return table

    def markdown(self, *, with_intervals: bool = False) -> str:
        """A table for a README or a model card; the title is left to the caller."""
        lines = [self.head(), ["---"] + ["---:"] * (len(self.head()) - 1)]
        lines += self.cells(with_intervals=with_intervals)
        return (
            "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
        )

    def as_json(self) -> dict[str, Any]:
        """Title, columns and rows in plain values; what is not defined is null."""
        rows = [
            {
                "name": row.name,
                "figures": row.figures,
                **({"intervals": row.intervals} if row.intervals else {}),
                **({"wanted": row.wanted, "reached": not row.falls_short} if row.wanted else {}),
                **row.extra,
            }
            for row in self.rows
        ]
        found: dict[str, Any] = plain({"title": self.title, "columns": list(self.columns), "rows": rows})
        return found

    def save(self, path: Path) -> None:
        """Write `as_json` to a file, folders included."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(self.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8", errors="replace"
        )


def plain(value: Any) -> Any:
    """A value in what JSON has: NaN and infinities become null, tuples lists, numpy's numbers Python's."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _title(key: str) -> str:
    return FIGURES[key].title if key in FIGURES else key.replace("_", " ")


def _show(key: str, value: float) -> str:
    if key in FIGURES:
        return FIGURES[key].show(value)
    return "–" if math.isnan(value) else f"{value:.4g}"


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
