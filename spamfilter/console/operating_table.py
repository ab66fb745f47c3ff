"""What a threshold costs and brings, by a bundle's own table: its rows are measured, and nothing between them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spamfilter.classifier.bundle import Bundle, BundleError
from spamfilter.verdict import Thresholds

_DIGIT = 5e-7
"""Half of the last digit of a table's probabilities."""


@dataclass(frozen=True, slots=True)
class Row:
    """At and above `probability`: the shares of held-out ham that is lost, of spam that is caught (None: not told)."""

    probability: float
    ham_lost: float
    caught: float | None


@dataclass(frozen=True, slots=True)
class Expected:
    """At or above a threshold are at most `ham_lost` of ham, at least `caught` of spam; None: it was not measured."""

    ham_lost: float | None
    caught: float | None


def rows(bundle: Bundle) -> list[Row]:
    """The table, the strictest threshold first. Raises BundleError."""
    try:
        found = [
            Row(float(one["probability"]), float(one["false_positive_rate"]),
                float(one["recall"]) if "recall" in one else None)
            for one in bundle.manifest["thresholds"]
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{bundle.path}: its table of thresholds cannot be read: {error!r}") from None
    if not found:
        raise BundleError(f"{bundle.path}: its table of thresholds is empty")
    return sorted(found, key=lambda row: row.ham_lost)


def expected(table: Sequence[Row], threshold: float) -> Expected:
    """What the nearest measured rows promise for a threshold between them; it may lie half a last digit off a row."""
    stricter = next((row for row in reversed(table) if row.probability >= threshold - _DIGIT), None)
    looser = next((row for row in table if row.probability <= threshold + _DIGIT), None)
    return Expected(None if looser is None else looser.ham_lost, None if stricter is None else stricter.caught)


def nearest(table: Sequence[Row], threshold: float) -> int:
    """The place of the row whose threshold is nearest."""
    return min(range(len(table)), key=lambda place: abs(table[place].probability - threshold))


def config_lines(table: Sequence[Row], chosen: Thresholds) -> str:
    """The lines of the configuration that ask for these thresholds: budgets where they are rows, else numbers."""

    def budget(threshold: float) -> float | None:
        return next((row.ham_lost for row in table if abs(row.probability - threshold) <= _DIGIT), None)

    spam, unsure = budget(chosen.spam_at), budget(chosen.unsure_at)
    if spam is not None and unsure is not None:
        keys = {"max_false_positive_rate": spam, "max_unsure_rate": unsure, "spam_at": "null", "unsure_at": "null"}
    else:
        keys = {"spam_at": round(chosen.spam_at, 6), "unsure_at": round(chosen.unsure_at, 6)}
    return "\n".join(("policy:", *(f"  {key}: {value}" for key, value in keys.items())))
