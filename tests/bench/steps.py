"""What the steps of a scan cost on average, by size of the mail and with the cascade on and off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.figures import mean, percentile
from tests.bench.ours import Seen

CLASSES = (("< 2 kB", 0, 2_000), ("2-5 kB", 2_000, 5_000), ("5-20 kB", 5_000, 20_000), (">= 20 kB", 20_000, 1 << 62))
REST = "rest"
"""What the total has above the sum of the steps: putting the stages together, and the clock."""


def names(seen: Sequence[Seen]) -> list[str]:
    """The steps in the order in which they were met, then the rest."""
    found: dict[str, None] = {}
    for one in seen:
        found.update(dict.fromkeys(step for step in one.timings if step != "total"))
    return [*found, REST]


def costs(seen: Sequence[Seen], steps: Sequence[str]) -> dict[str, Any]:
    """Mails, share that the GPT was asked about, mean milliseconds by step (0 where a step was left out) and in all."""
    means = {step: mean([one.timings.get(step, 0.0) for one in seen]) for step in steps if step != REST}
    total = [one.timings["total"] for one in seen]
    means[REST] = mean(total) - sum(means.values())
    return {
        "mails": len(seen),
        "escalated": round(mean([float(one.escalated) for one in seen]), 4),
        "mean_ms": {step: round(value, 4) for step, value in means.items()},
        "total_ms": {
            "mean": round(mean(total), 3),
            **{f"p{share}": round(percentile(total, share / 100), 3) for share in (50, 95, 99)},
        },
    }


def by_class(seen: Sequence[Seen], steps: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`all` and each class of size that has mails -> costs."""
    groups = {"all": list(seen)}
    groups |= {name: [one for one in seen if least <= one.size < most] for name, least, most in CLASSES}
    return {name: costs(group, steps) for name, group in groups.items() if group}


def rows(table: Mapping[str, Mapping[str, Mapping[str, Any]]], steps: Sequence[str]) -> list[tuple[str, ...]]:
    """A line for each cascade and class: name, mails, share, milliseconds by step, total."""
    return [
        (
            f"cascade {switch}, {name}",
            str(cost["mails"]),
            f"{100 * cost['escalated']:.1f} %",
            *(f"{cost['mean_ms'][step]:.3f}" for step in steps),
            *(f"{cost['total_ms'][which]:.2f}" for which in ("mean", "p50", "p95", "p99")),
        )
        for switch, classes in table.items()
        for name, cost in classes.items()
    ]


def columns(steps: Sequence[str]) -> tuple[str, ...]:
    """The head of `rows`."""
    return "steps, mean ms", "mails", "GPT asked", *steps, "total", "p50", "p95", "p99"
