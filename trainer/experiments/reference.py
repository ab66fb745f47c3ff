"""The reference workflow from start to end, claim beside result, on a machine without a GPU.

A small GPT learns to write from The Verdict; then a pretrained GPT learns ham from spam on the balanced SMS collection:
last block, final norm and head, padded to the longest training message, five epochs (Raschka 2024, chapters 5 and 6).
Our own base stands where the workflow has GPT-2; public weights take its place where they are given.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainer.base import Base, load_base
from trainer.data.prepared import render_columns
from trainer.data.splits import Split, reference_split
from trainer.evaluation.breakdown import worst
from trainer.evaluation.comparison import Comparison, plain
from trainer.evaluation.curves import curves, read_metrics
from trainer.evaluation.metrics import figures
from trainer.evaluation.plots import confusion_matrix, wilson
from trainer.evaluation.report import Picture, Report, write
from trainer.experiments.collection import Reading
from trainer.experiments.sms import CLAIM, MEAN, SINGLE, TOGETHER, Bench, judged
from trainer.experiments.trials import Division, longest, shortened, tried
from trainer.gpt import GPT, GPTConfig
from trainer.recipes.finetune import Finetune, score
from trainer.recipes.pretrain import Pretrain, pretrain
from trainer.run import Run
from trainer.strategies import prepare

PROMPT = "Every effort moves you"
OURS = "our settings: "
_SIZES = {"vocab_size": 1024, "context": 128, "layers": 4, "heads": 4, "channels": 128}


@dataclass(frozen=True, slots=True)
class Story:
    """What the network wrote after the prompt before and after it had read The Verdict, and its validation losses."""

    before: str
    after: str
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The reference's fine-tuning on one seed: test logits (N,), accuracies 0-1 before and after, seconds."""

    seed: int
    split: Split
    scores: np.ndarray
    before: float
    after: Mapping[str, float]
    seconds: float
    padded: int


def write_story(reading: Reading, data: Path, folder: Path, *, tokens: int, threads: int = 2) -> Story:
    """Pretrain a small GPT on The Verdict, or read what is in the folder; it writes with and without."""
    settings = Pretrain(
        **_SIZES, corpora=("the-verdict",), teacher=0.0, candidates=0, batch=8, tokens=tokens, learning_rate=0.001,
        warmup=20, weight_decay=0.1, checkpoint_every=20, threads=threads,
    )  # fmt: skip
    run = Run.open(folder, settings)
    if not (folder / "final.pt").exists():
        pretrain(settings, run, reading.table, data, teacher_cache=folder / "teacher.npz")
    base = load_base(folder)
    torch.manual_seed(settings.seed)
    untrained = GPT(GPTConfig(base.config.vocab_size, *(_SIZES[k] for k in ("context", "layers", "heads", "channels"))))
    metrics = read_metrics(folder / "metrics.jsonl")
    losses = tuple(values["valid_loss"] for values in metrics if "valid_loss" in values)
    return Story(_written(untrained, base), _written(base.network(), base), losses)


def _written(model: GPT, base: Base, count: int = 50) -> str:
    torch.manual_seed(123)
    ids = model.generate(torch.tensor([base.tokenizer.encode(PROMPT)]), count, temperature=0.8, top_k=25)
    text = base.tokenizer.decode(ids[0].tolist())
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def tuned(reading: Reading, base: Base, settings: Finetune, seed: int, folder: Path) -> Tuned:
    """Fine-tune and judge as the reference does: every row padded, or cut, to the longest training message."""
    split, spam = reference_split(reading.spam, seed), reading.spam
    padded = longest(base, *render_columns(reading.table.iloc[split.train]))
    short = shortened(base, padded)
    one = dataclasses.replace(settings, seed=seed, pad_to=padded)
    untrained = short.network(pooling=one.pooling)
    prepare(untrained, one.strategy, seed=seed)
    heads, tails = render_columns(reading.table.iloc[split.test])
    before = score(untrained, base.tokenizer, heads, tails, pad_to=padded)
    parts = {"training": split.train, "validation": split.validation, "test": split.test}
    division = Division(split.train, split.validation)
    trial = tried(folder / f"seed-{seed}", one, reading.table, short, division, np.concatenate([*parts.values()]))
    after = {name: _accuracy(spam[rows], trial.scores[rows]) for name, rows in parts.items()}
    return Tuned(
        seed, split, trial.scores[split.test], _accuracy(spam[split.test], before), after, trial.seconds, padded
    )


def _accuracy(spam: np.ndarray, logits: np.ndarray) -> float:
    return float(((logits > 0) == (spam == 1)).mean())


def side_by_side(found: Sequence[Tuned], ours: Mapping[int, Mapping[str, np.ndarray]], reading: Reading) -> Comparison:
    """Claim beside result: accuracy with Wilson's 95 % interval at each test's size, and before fine-tuning."""
    comparison = Comparison(
        "Claim beside result", ("accuracy", "spam_caught_percent", "blocked_ham_percent", "mcc", "roc_auc"), "workflow"
    )
    test = len(found[0].split.test)
    comparison.add(
        "GPT-2 small, last block (as published)", {"accuracy": CLAIM}, intervals=_interval(CLAIM, test), before=""
    )
    rows = {one.seed: figures(reading.spam[one.split.test], one.scores, threshold=0.0) for one in found}
    for one in found:
        comparison.add(
            f"reference settings, seed {one.seed}", rows[one.seed],
            intervals=_interval(rows[one.seed]["accuracy"], test), before=f"{100 * one.before:.2f}",
        )  # fmt: skip
    if len(found) > 1:
        comparison.add(f"reference settings, mean of {len(found)} seeds", _mean(list(rows.values())), before="")
    names = list(dict.fromkeys(name for scores in ours.values() for name in scores if name in (SINGLE, MEAN, TOGETHER)))
    for name in names:
        each = {
            one.seed: figures(reading.spam[one.split.test], ours[one.seed][name], threshold=0.0)
            for one in found
            if one.seed in ours
        }
        mean = _mean(list(each.values()))
        title = f"{OURS}{name}, {'seed ' + str(next(iter(each))) if len(each) == 1 else f'mean of {len(each)} seeds'}"
        comparison.add(title, mean, intervals=_interval(mean["accuracy"], test) if len(each) == 1 else None, before="")
    return comparison


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([one[key] for one in rows])) for key in rows[0]}


def _interval(share: float, count: int) -> dict[str, tuple[float, float]]:
    low, high = wilson(np.array([share]), np.array([count]))
    return {"accuracy": (float(low[0]), float(high[0]))}


def by_seed(found: Sequence[Tuned], ours: Mapping[int, Mapping[str, np.ndarray]], reading: Reading) -> Comparison:
    """Accuracy of each part and each seed under the reference's settings, and of ours on the same test."""
    comparison = Comparison("Seed by seed: accuracy %", (), "seed")
    for one in found:
        spam = reading.spam[one.split.test]
        shown = {name: f"{100 * value:.2f}" for name, value in one.after.items()}
        mine = {
            name: f"{100 * _accuracy(spam, score):.2f}"
            for name, score in ours.get(one.seed, {}).items()
            if name in (SINGLE, MEAN, TOGETHER)
        }
        comparison.add(str(one.seed), {}, **shown, minutes=f"{one.seconds / 60:.1f}", padded_to=one.padded, **mine)
    return comparison


def report(
    reading: Reading, story: Story, found: Sequence[Tuned], ours: Mapping[int, Mapping[str, np.ndarray]],
    folder: Path, *, settings: Mapping[str, object], command: str, base_name: str,
) -> tuple[Path, Comparison]:  # fmt: skip
    """Write report.html, its pictures, figures.json and claim.json into the folder; the page and its headline."""
    first = found[0]
    table = reading.table.iloc[first.split.test].reset_index(drop=True)
    probability = 0.5 * (1 + np.tanh(first.scores / 2))
    headline = side_by_side(found, ours, reading)
    pictures = [
        Picture("pretraining", curves(read_metrics(folder / "the-verdict" / "metrics.jsonl"), "The Verdict"),
                "Training and validation loss of the small GPT on The Verdict."),
        Picture("fine-tuning",
                curves(read_metrics(folder / f"seed-{first.seed}" / "metrics.jsonl"), f"seed {first.seed}"),
                "Loss, validation accuracy and ROC AUC while the classifier learns."),
        Picture("confusion", confusion_matrix(table["spam"].to_numpy(), first.scores > 0),
                "How many ham and spam of the test were called what."),
    ]  # fmt: skip
    low, high = _interval(CLAIM, len(table))["accuracy"]
    notes = [
        f"The claim of {100 * CLAIM:.2f} % is of {len(table)} messages: its 95 % interval is {100 * low:.1f} to "
        f"{100 * high:.1f} %.",
        f"Base of the fine-tuning: {base_name}.",
        "In the reference's split some test messages stand in the training part word for word.",
        f"Before The Verdict the small GPT writes: {story.before!r}",
        f"After it: {story.after!r}",
    ]
    if story.losses:
        notes.append(
            f"Validation loss on The Verdict: {story.losses[0]:.2f} at first, {min(story.losses):.2f} at best."
        )
    page = write(
        Report(
            title="The reference workflow, reproduced",
            measured=f"SMS Spam Collection, balanced, 7:1:2; {len(table)} test messages on each of {len(found)} seeds",
            headline=headline, sources=by_seed(found, ours, reading), pictures=pictures,
            mistakes=worst(table, probability), settings=settings, command=command, notes=notes,
        ),
        folder,
    )  # fmt: skip
    claim = {
        "claim": CLAIM, "claim_interval": [low, high], "story": {"before": story.before, "after": story.after},
        "seeds": {one.seed: {"before": one.before, **one.after} for one in found}, "table": headline.as_json(),
    }  # fmt: skip
    (folder / "claim.json").write_text(json.dumps(plain(claim), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return page, headline


def own(reading: Reading, bench: Bench, seeds: Sequence[int]) -> dict[int, dict[str, np.ndarray]]:
    """Our settings on the same splits; shared with `compare sms`, which keeps them in the same folders."""
    return {
        seed: judged(reading, bench, reference_split(reading.spam, seed), f"reference-{seed}") for seed in seeds
    }  # fmt: skip
