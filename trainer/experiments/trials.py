"""One fine-tuning of an experiment: its own run folder, its scores kept, so that a stopped experiment goes on.

What a trial may train on is said by row numbers; the messages that it is to score are no part of what it is given.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from trainer.base import Base
from trainer.data.prepared import fingerprint_of, render_columns
from trainer.errors import RecipeError
from trainer.evaluation.comparison import Comparison
from trainer.recipes.finetune import Finetune, finetune, score
from trainer.run import Run


@dataclass(frozen=True, slots=True)
class Division:
    """Row numbers of a table: what is trained on, and what is measured while training goes on (both labelled)."""

    train: np.ndarray
    validation: np.ndarray


@dataclass(frozen=True, slots=True)
class Trial:
    """Spam-over-ham logits by row number (N,), NaN where a row was not asked for; seconds; trained and all weights."""

    scores: np.ndarray
    seconds: float
    trained: int
    total: int


def frame_of(table: pd.DataFrame, rows: Division) -> pd.DataFrame:
    """What a fine-tuning reads: the rows alone, of parts `train` and `holdout`."""
    frame = table.iloc[np.concatenate([rows.train, rows.validation])].copy()
    frame["part"] = ["train"] * len(rows.train) + ["holdout"] * len(rows.validation)
    return frame.reset_index(drop=True)


def tried(
    folder: Path, settings: Finetune, table: pd.DataFrame, base: Base, rows: Division, ask: np.ndarray, *,
    teacher_cache: Path | None = None,
) -> Trial:  # fmt: skip
    """Fine-tune on `rows` and score the rows `ask`; from the folder where that is done. Raises RecipeError.

    The folder keeps settings, curves and scores; its weights go once the scores are there.
    """
    frame = frame_of(table, rows)
    run = Run.open(folder, settings, data=f"{fingerprint_of(frame)}-{digest_of(base)}")
    kept = folder / "scores.npz"
    if not kept.exists():
        began = time.monotonic()
        model = finetune(settings, run, frame, base, teacher_cache=teacher_cache)
        seconds = time.monotonic() - began
        heads, tails = render_columns(table.iloc[ask])
        found = score(model, base.tokenizer, heads, tails, pad_to=settings.pad_to)
        counts = next(
            line for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()) if "trained" in line
        )
        temporary = folder / ".scores.new.npz"
        np.savez(temporary, rows=ask, scores=found, about=[seconds, counts["trained"], counts["total"]])
        temporary.replace(kept)
        for name in ("checkpoint.pt", "best.pt", "final.pt"):
            (folder / name).unlink(missing_ok=True)
    with np.load(kept, allow_pickle=False) as stored:
        if not np.isin(ask, stored["rows"]).all():
            raise RecipeError(f"{folder}: holds the scores of other messages: remove it, or choose another --run")
        scores = np.full(len(table), np.nan)
        scores[stored["rows"]] = stored["scores"]
        seconds, trained, total = stored["about"].tolist()
    return Trial(scores, seconds, int(trained), int(total))


def digest_of(base: Base) -> str:
    """Eight hex digits for a base's weights and sizes, so that results of another base are not taken for its own."""
    digest = hashlib.blake2b(repr(base.config).encode(), digest_size=4)
    for name in ("tokens.weight", "norm.weight"):
        if base.weights is not None:
            digest.update(base.weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def longest(base: Base, heads: list[str], tails: list[str]) -> int:
    """Tokens of the longest of some rendered messages, at most the base's context."""
    context = base.config.context
    return max(len(base.tokenizer.window(head, tail, context)) for head, tail in zip(heads, tails, strict=True))


def shortened(base: Base, context: int) -> Base:
    """The same base that reads at most `context` tokens of a message: rows of one length however long a message is."""
    weights = base.weights
    if weights is not None:
        weights = {**weights, "positions.weight": weights["positions.weight"][:context].clone()}
    return dataclasses.replace(base, config=dataclasses.replace(base.config, context=context), weights=weights)


def publish(folder: Path, title: str, comparisons: Sequence[Comparison], notes: Sequence[str] = ()) -> None:
    """Print the tables; write them to FOLDER/NAME.md and, one file each, as JSON. NAME is the folder's name."""
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if Console().is_terminal else 170)
    text = [f"# {title}\n", *(f"- {note}" for note in notes), ""]
    for number, comparison in enumerate(comparisons, 1):
        console.print(comparison.table())
        text += [f"## {comparison.title}\n", comparison.markdown()]
        comparison.save(folder / f"{folder.name}-{number}.json")
    short = [f"{comparison.title}: {line}" for comparison in comparisons for line in comparison.shortfalls()]
    if short:
        text += ["## Short of what was wanted\n", *(f"- {line}" for line in short), ""]
    (folder / f"{folder.name}.md").write_text("\n".join(text), "utf-8", errors="replace")
    for note in notes:
        console.print(note, highlight=False)
    console.print(f"{folder / folder.name}.md and {len(comparisons)} JSON file(s) written", highlight=False)
