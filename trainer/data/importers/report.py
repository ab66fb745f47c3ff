"""What an import took and what it could not: every bad row is counted and named, none is dropped in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainer.data.example import Example
from trainer.errors import DataError

SHOWN = 20
"""How many bad rows are kept with their place."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A row, a file or an archive that could not be taken: where (file and line, or member), and why."""

    place: str
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" + (f": {self.detail}" if self.detail else "")


@dataclass(slots=True)
class Report:
    """Counts of one import; grows while it reads. With `strict` the first bad row raises DataError."""

    strict: bool = False
    spam: int = 0
    ham: int = 0
    unlabelled: int = 0
    bad_by_reason: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    first_bad: list[Bad] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """How many rows were bad."""
        return self.bad_by_reason.total()

    @property
    def taken(self) -> int:
        """How many messages were read whole."""
        return self.spam + self.ham + self.unlabelled

    @property
    def rows(self) -> int:
        """How many rows were looked at, bad ones included."""
        return self.taken + self.bad

    def take(self, example: Example) -> None:
        """Count a message."""
        if example.spam is None:
            self.unlabelled += 1
        elif example.spam:
            self.spam += 1
        else:
            self.ham += 1

    def refuse(self, place: str, reason: str, detail: str = "") -> None:
        """Count a bad row. Raises DataError when strict."""
        bad = Bad(place, reason, detail)
        if self.strict:
            raise DataError(str(bad))
        self.bad_by_reason[reason] += 1
        if len(self.first_bad) < SHOWN:
            self.first_bad.append(bad)

    def skip(self, reason: str) -> None:
        """Count a file that the format knows not to be a message; it is not bad."""
        self.skipped[reason] += 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rows": self.rows,
            "spam": self.spam,
            "ham": self.ham,
            "unlabelled": self.unlabelled,
            "bad": self.bad,
            "bad_by_reason": dict(self.bad_by_reason.most_common()),
            "skipped": dict(self.skipped.most_common()),
            "first_bad": [asdict(bad) for bad in self.first_bad],
        }

    def __rich__(self) -> RenderableType:
        return Group(*self._rendered())

    def _rendered(self) -> Iterator[RenderableType]:
        counts = Table(box=None, pad_edge=False)
        for title in ("rows", "spam", "ham", "unlabelled", "bad"):
            counts.add_column(title, justify="right")
        counts.add_row(*(f"{n:,}" for n in (self.rows, self.spam, self.ham, self.unlabelled, self.bad)))
        yield counts
        for reason, count in self.skipped.most_common():
            yield Text(f"skipped {count:,}: {reason}")
        for reason, count in self.bad_by_reason.most_common():
            yield Text(f"bad {count:,}: {reason}")
        for bad in self.first_bad:
            yield Text(f"  {bad}")
        if self.bad > len(self.first_bad):
            yield Text(f"  and {self.bad - len(self.first_bad):,} more")
