"""What the gate found, for people and for programs: both models side by side, and a plain sentence at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

JSON_NAME, MARKDOWN_NAME = "gate.json", "gate.md"
TOO_FEW, FAILED = "too few", "failed"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a candidate is refused: `FAILED` a check, or `TOO_FEW` messages to say; only the latter can be overruled."""

    check: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both models: shares (0-1), how many different messages they are shares of, and the 95 % interval
    of the candidate's less the current's."""

    set: str
    figure: str
    messages: int
    current: float
    candidate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Single:
    """One message that is looked at by itself: a canary, a message that must stay ham; probabilities and labels."""

    set: str
    name: str
    current: float
    current_label: str
    candidate: float
    candidate_label: str


@dataclass(frozen=True, slots=True)
class GateReport:
    """The judgement. `forced`: reasons of the kind TOO_FEW were overruled."""

    current: str
    candidate: str
    reasons: tuple[Reason, ...]
    rows: tuple[Row, ...]
    singles: tuple[Single, ...]
    notes: tuple[str, ...]
    forced: bool = False

    @property
    def standing(self) -> tuple[Reason, ...]:
        """The reasons that were not overruled."""
        return tuple(reason for reason in self.reasons if not (self.forced and reason.kind == TOO_FEW))

    @property
    def passed(self) -> bool:
        """Whether the candidate may take over."""
        return not self.standing

    @property
    def sentence(self) -> str:
        """The judgement for people."""
        if self.passed:
            overruled = [reason.text for reason in self.reasons]
            but = f" (forced, although {'; '.join(overruled)})" if overruled else ""
            return f"Passed: {self.candidate} may replace {self.current}{but}."
        return f"Refused: {'; '.join(reason.text for reason in self.standing)}. {self.current} goes on serving."

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"passed": self.passed, "sentence": self.sentence, **asdict(self)}

    def markdown(self) -> str:
        """The report as a page."""
        lines = [f"# Gate: {self.candidate} against {self.current}", ""]
        lines += [
            "| set | share | different messages | current % | candidate % | difference, 95 % |",
            "|---|---|---:|---:|---:|---|",
        ]
        for row in self.rows:
            lines.append(
                f"| {_cell(row.set)} | {row.figure} | {row.messages:,} | {100 * row.current:.2f} | "
                f"{100 * row.candidate:.2f} | {100 * row.low:+.2f} to {100 * row.high:+.2f} |"
            )
        if self.singles:
            lines += ["", "| one by one | message | current | candidate |", "|---|---|---|---|"]
            lines += [
                f"| {_cell(one.set)} | {_cell(one.name)} | {one.current_label} ({one.current:.4f}) | "
                f"{one.candidate_label} ({one.candidate:.4f}) |"
                for one in self.singles
            ]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        if self.reasons:
            lines += ["", *(f"- {reason.kind}, {reason.check}: {reason.text}" for reason in self.reasons)]
        return "\n".join([*lines, "", self.sentence, ""])

    def write(self, folder: Path) -> None:
        """As `gate.json` and `gate.md`; the first is there last, and whole."""
        (folder / MARKDOWN_NAME).write_text(self.markdown(), "utf-8", "replace")
        temporary = folder / f".{JSON_NAME}.new"
        temporary.write_text(json.dumps(self.as_json(), indent=1, allow_nan=False), "utf-8")
        temporary.replace(folder / JSON_NAME)


def named(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _cell(text: str) -> str:
    """Text that cannot break a table's row: names of files are anybody's."""
    return "".join(c if c.isprintable() and c != "|" else "?" for c in text)
