"""What the retrainings of a host left: how each ended, for whoever runs the next one and for those who look.

state_dir/retrain/TIME/outcome.json   how it ended; a folder without one was left by a killed retraining
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line loads no database before it needs one
    from spamfilter.store.statistics import Corrections, Statistics

FOLDER, OUTCOME = "retrain", "outcome.json"
_NAME = re.compile(r"\d{8}T\d{6}(-\d+)?")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a retraining ended. `until`: the newest label that it saw; `installed`: its name in the registry, or None."""

    time: datetime
    until: datetime | None
    labels: int
    model: str
    before: str
    passed: bool
    sentence: str
    installed: str | None
    activated: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **asdict(self),
            "time": self.time.isoformat(timespec="seconds"),
            "until": None if self.until is None else self.until.isoformat(),
        }


def folders(state_dir: Path) -> list[Path]:
    """The folders of retrainings, oldest first."""
    try:
        with os.scandir(state_dir / FOLDER) as entries:
            names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return []
    return [state_dir / FOLDER / name for name in sorted(names, key=_order)]


def outcome_in(folder: Path) -> Outcome | None:
    """How the retraining of a folder ended; None where it was killed."""
    try:
        fields = json.loads((folder / OUTCOME).read_text("utf-8"))
        until = fields["until"]
        moments = {
            "time": datetime.fromisoformat(fields["time"]),
            "until": None if until is None else datetime.fromisoformat(until),
        }
        return Outcome(**{**fields, **moments})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def outcomes(state_dir: Path) -> list[Outcome]:
    """How those ended that did end, the newest first."""
    found = (outcome_in(folder) for folder in reversed(folders(state_dir)))
    return [outcome for outcome in found if outcome is not None]


def said_since(statistics: Statistics, last: Outcome | None) -> Corrections:
    """What people said that the last retraining did not see; all of it where there was none. Raises StoreError."""
    seen = None if last is None else last.until
    after = datetime.fromtimestamp(0, UTC) if seen is None else seen + timedelta(microseconds=1)
    return statistics.corrections(after)


def told_in(lines: Iterable[str | bytes]) -> Iterator[Mapping[str, Any]]:
    """What a trainer told: the JSON objects among the lines that it wrote."""
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            yield told


def _order(name: str) -> tuple[str, int]:
    time_, _, number = name.partition("-")
    return time_, int(number or 1)
