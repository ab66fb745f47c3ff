"""The model card that lies in every bundle: what the model is for, what it read, what it reaches, where it fails.

Sections follow Mitchell et al. 2019 (Model Cards for Model Reporting), as far as they say something here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.evaluation.comparison import Comparison

COLUMNS = ("ham", "spam", "roc_auc", "one_minus_roca_percent", "recall_at_0.1", "recall_at_0.5", "ece")

LIMITS = """\
- Trained on English mail of 1999-2010, one technical list of 2019-2026, and SMS of about 2010. Mail from elsewhere is
  judged less well than on the test part: read the rows "left out of training", they are what a new site may expect.
- Other languages are judged by headers, links and structure more than by their words.
- Mail longer than the windows is read at its head and its tail; pictures and attachments are not read, only named.
- Whoever knows the model can write around it. Thresholds hold for mail like the calibration's: watch what is
  blocked, correct it, and train again."""

INTENDED = """\
Marking mail, short messages and posts as ham, unsure or spam on a host of one's own, under a policy that a person has
set, where a wrong verdict can be seen and undone (a mark, a folder, a quarantine). Not for refusing mail without a
trial on one's own, not for judging people, and not as the only guard against phishing or malware."""


def model_card(name: str, content: Mapping[str, Any]) -> str:
    """The card in markdown.

    `content` is what goes into a bundle's manifest: `training` (key: value), `metrics` (row: figures by the keys of
    `metrics.FIGURES`), and where there are any `created`, `thresholds`, `cascade` and `ensemble`.
    """
    sections = [
        f"# Model card: {name}",
        "A spam classifier for mail and short messages: a causal transformer (GPT-2 layout) pretrained from scratch "
        "and\nfine-tuned, beside a linear model over hashed n-grams and one over facts about headers and structure.",
        *([f"Made {content['created']}."] if content.get("created") else []),
        "## Intended use\n" + INTENDED,
        "## Training data\n" + "\n".join(f"- {key}: {value}" for key, value in content["training"].items()),
        "## Measured\n" + measured(content["metrics"]),
        *([_operating_points(content["thresholds"])] if content.get("thresholds") else []),
        *([_spared(content["cascade"]["measured"])] if content.get("cascade", {}).get("measured") else []),
        "## Limits\n" + LIMITS,
    ]
    return "\n\n".join(section.rstrip() for section in sections) + "\n"


def measured(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Figures row by row; a column that no row has is left out."""
    if not metrics:
        return "Nothing yet.\n"
    columns = [key for key in COLUMNS if any(key in row for row in metrics.values())]
    comparison = Comparison("measured", columns, "evidence")
    for row, found in metrics.items():
        comparison.add(row, found)
    return (
        comparison.markdown() + "\nSpam is the positive class; recall is the share of spam above the cut that costs so "
        "much ham (FPR).\n"
    )


def _operating_points(thresholds: list[Mapping[str, float]]) -> str:
    lines = [
        f"| {100 * row['false_positive_rate']:g} | {row['probability']:.4f} | {100 * row['recall']:.1f} |"
        for row in thresholds
    ]
    head = "| at most so much ham blocked % | probability | spam caught % |\n|---:|---:|---:|\n"
    return (
        "## Operating points\n" + head + "\n".join(lines) + "\n\n"
        "Read from messages that the scoring models had not seen. `policy.max_false_positive_rate` picks one."
    )


def _spared(measured: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        f"| {mode} | {origin} | {row['messages']} | {100 * row['asked']:.1f} | {100 * row['turned']:.2f} |"
        for mode, found in measured.items()
        for origin, row in found["origins"].items()
    ]
    head = "| kind | from | messages | GPT asked % | verdicts that differ % |\n|---|---|---:|---:|---:|\n"
    return (
        "## Cascade\n" + head + "\n".join(lines) + "\n\n"
        "At the default thresholds, on messages that neither the scoring models nor the cascade's bands had seen."
    )
