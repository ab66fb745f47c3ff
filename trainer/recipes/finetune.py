"""Fine-tuning: a pretrained GPT becomes a classifier of ham and spam.

Sources differ in size by twenty and must not be recognised by their headers: each source is drawn by the square root
of its size, and every message is seen in varied views (`trainer.augment`). Beside the two classes the network may go
on learning language (`language`) and what a teacher makes of each text (`teacher`), so that it does not forget.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spamfilter.classifier.tokenizer import Tokenizer
from trainer.augment import Augment
from trainer.base import Base
from trainer.corpus import shown_to_teacher
from trainer.data.prepared import render_columns
from trainer.data.splits import BALANCES, undersample
from trainer.data.splits import weights as class_weights
from trainer.errors import RecipeError
from trainer.evaluation.metrics import summary
from trainer.gpt import GPT, POOLINGS
from trainer.linear import source_weights
from trainer.loop import Pace, advance
from trainer.lora import TARGETS
from trainer.losses import SampledSoftmax, picking_loss
from trainer.parallel import Parallel
from trainer.recipes.probe import fit_probe, pooled_states, views
from trainer.run import Run
from trainer.strategies import STRATEGIES, Counts, finish, prepare
from trainer.teacher import WIDTH, centred, embeddings
from trainer.windows import Views, collate, read_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetune(Pace):
    """Settings; an epoch is as many messages as the training part has.

    `strategy`, `last`, `rank`, `alpha`, `targets`: which parameters learn (`trainer.strategies`). `sources`: the only
    ones to train on, all where empty; `leave_out`: never read. `balance`: sources (by the root of their size, classes
    alike), natural, undersample (as many ham as spam), weights (of the loss). `language`, `teacher`: weights of the
    joint losses. `pad_to`: pad every row to so many tokens (the reference's), 0 for the batch's longest.
    """

    epochs: float = 0.4
    batch: int = 32
    learning_rate: float = 0.0006
    floor: float = 0.02
    strategy: str = "probe"
    last: int = 2
    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] = TARGETS
    pooling: str = "mean"
    pad_to: int = 0
    label_smoothing: float = 0.02
    language: float = 0.1
    teacher: float = 0.5
    balance: str = "sources"
    sources: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    check: int = 1000
    augment: Augment = Augment()  # noqa: RUF009 - frozen, shared safely

    def __post_init__(self) -> None:
        Pace.__post_init__(self)
        for name, value, choices in (
            ("strategy", self.strategy, STRATEGIES),
            ("pooling", self.pooling, POOLINGS),
            ("balance", self.balance, ("sources", *BALANCES)),
        ):
            if value not in choices:
                raise ValueError(f"{name}: {value!r}; choose from {', '.join(choices)}")


class Finetuning(nn.Module):
    """The GPT and, where there is a teacher, the projection from its pooled state to the teacher's space."""

    def __init__(self, model: GPT, *, teacher: bool) -> None:
        super().__init__()
        self.model = model
        self.projector = nn.Linear(model.config.channels, WIDTH) if teacher else None


def chosen(table: pd.DataFrame, settings: Finetune, part: str) -> pd.DataFrame:
    """The rows of a part that the settings let in. Raises RecipeError where a source is unknown or nothing is left."""
    known = set(table["source"].unique())
    for name in (*settings.sources, *settings.leave_out):
        if name not in known:
            raise RecipeError(f"source {name!r} is not in the table; it has {', '.join(sorted(known))}")
    rows = table[(table["part"] == part) & ~table["source"].isin(settings.leave_out)]
    if settings.sources:
        rows = rows[rows["source"].isin(settings.sources)]
    if rows["spam"].nunique() < 2:
        raise RecipeError(f"part {part!r} of the chosen sources must have both ham and spam; it has {len(rows)} rows")
    return rows.reset_index(drop=True)


def schedule(table: pd.DataFrame, settings: Finetune) -> np.ndarray:
    """Row numbers of every batch, (batches, batch): drawn as `balance` says, similar lengths together."""
    rng = np.random.default_rng(settings.seed)
    total = max(int(settings.epochs * len(table)) // settings.batch, 1) * settings.batch
    if settings.balance == "sources":
        weights = source_weights(table["source"].to_numpy(), table["spam"].to_numpy())
        rows = rng.choice(len(table), total, p=weights / weights.sum())
    else:
        epochs = -(-total // len(table))
        rows = np.concatenate([rng.permutation(len(table)) for _ in range(epochs)])[:total]
    lengths = table["text"].str.len().to_numpy()
    pool = settings.batch * 32
    batches = []
    for start in range(0, total, pool):
        part = rows[start : start + pool]
        part = part[np.argsort(np.minimum(lengths[part], 1200) + rng.random(len(part)), kind="stable")]
        groups = part.reshape(-1, settings.batch)
        batches.append(groups[rng.permutation(len(groups))])
    return np.concatenate(batches)


class _Classifying:
    """Batches of varied views and their loss."""

    def __init__(
        self, settings: Finetune, both: Finetuning, tokenizer: Tokenizer, train: pd.DataFrame, check: pd.DataFrame,
        wanted: np.ndarray | None, device: torch.device,
    ) -> None:  # fmt: skip
        self._settings, self._both, self._tokenizer, self._check = settings, both, tokenizer, check
        self._wanted, self._device = wanted, device
        self.batches = schedule(train, settings)
        self._views = Views(train, settings.augment, tokenizer, both.model.config.context)
        spam = train["spam"].to_numpy()
        self._spam = torch.tensor(spam)
        self._row_weights = torch.from_numpy(class_weights(spam).weights) if settings.balance == "weights" else None
        counts = np.ones(both.model.config.vocab_size)
        self._sampled = SampledSoftmax(counts, 1024) if settings.language else None

    def loss(self, number: int) -> tuple[Tensor, int]:
        s, model = self._settings, self._both.model
        rng = np.random.default_rng((s.seed, number))
        rows = self.batches[number % len(self.batches)]
        texts = [self._views.text(i, rng) for i in rows]
        windows = [self._views.window(i, text, rng) for i, text in zip(rows, texts, strict=True)]
        ids, lengths = collate(windows, self._tokenizer.end, s.pad_to)
        ids, lengths = ids.to(self._device), lengths.to(self._device)
        states = model.hidden(ids)
        pooled = model.pool(states, lengths)
        each = F.cross_entropy(
            model.classifier(pooled).float(), self._spam[rows].to(self._device),
            label_smoothing=s.label_smoothing, reduction="none",
        )  # fmt: skip
        loss = each.mean() if self._row_weights is None else (each * self._row_weights[rows].to(each.device)).mean()
        if self._sampled is not None:
            real = torch.arange(ids.shape[1] - 1, device=self._device) < (lengths - 1)[:, None]
            targets = ids[:, 1:][real]
            if len(targets):
                spoken = self._sampled(states[:, :-1][real], model.tokens.weight, targets, s.seed * 1_000_003 + number)
                loss = loss + s.language * spoken
        if self._both.projector is not None and self._wanted is not None:
            near = torch.from_numpy(self._wanted[rows]).to(self._device)
            loss = loss + s.teacher * picking_loss(self._both.projector(pooled), near, temperature=0.1)
        return loss, int(lengths.sum())

    def measure(self) -> Mapping[str, float]:
        spam = self._check["spam"].to_numpy()
        heads, tails = render_columns(self._check)
        found = score(self._both.model, self._tokenizer, heads, tails, pad_to=self._settings.pad_to)
        return {
            "holdout_auc": round(summary(spam, found)["roc_auc"], 5),
            "holdout_accuracy": round(float(((found > 0) == spam).mean()), 4),
        }


def finetune(
    settings: Finetune, run: Run, table: pd.DataFrame, base: Base, *, teacher_cache: Path | None = None
) -> GPT:
    """Run, or go on with, a fine-tuning of the base's network in place; it also stands in the run as `final.pt`.

    The network comes back plain: adapters merged, nothing frozen.
    """
    parallel = Parallel.start(settings.device)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    model = base.network(pooling=settings.pooling)
    counts = prepare(
        model, settings.strategy, seed=settings.seed, last=settings.last, rank=settings.rank, alpha=settings.alpha,
        targets=settings.targets,
    )  # fmt: skip
    train, holdout = chosen(table, settings, "train"), chosen(table, settings, "holdout")
    if settings.balance == "undersample":
        train = train.iloc[undersample(train["spam"].to_numpy(), settings.seed).rows].reset_index(drop=True)
    check = holdout.sample(min(len(holdout), settings.check), random_state=settings.seed)
    if settings.strategy == "probe":
        return _probe(settings, run, train, check, base, model.to(parallel.device), counts)
    wanted = None
    if settings.teacher and teacher_cache is not None:
        wanted = centred(embeddings(shown_to_teacher(train), teacher_cache))
    both = Finetuning(model, teacher=wanted is not None).to(parallel.device)
    if both.projector is not None and base.projector is not None:
        both.projector.load_state_dict(base.projector)
    task = _Classifying(settings, both, base.tokenizer, train, check, wanted, parallel.device)
    steps = max(len(task.batches) // (settings.accumulate * parallel.world), 1)
    if parallel.leads:
        print(f"{settings.strategy}: {counts}; {len(train):,} messages, {steps:,} steps of {settings.batch}")
        run.log(step=0, trained=counts.trained, total=counts.total)
    advance(
        run, both, task, settings, parallel, title="fine-tune", steps=steps, watch="holdout_auc", higher_is_better=True
    )
    plain = finish(both.model).to("cpu")
    if parallel.leads:
        keep(run, plain)
    return plain.eval()


def _probe(
    settings: Finetune, run: Run, train: pd.DataFrame, check: pd.DataFrame, base: Base, model: GPT, counts: Counts
) -> GPT:
    """The strategy `probe`: no steps, so nothing to resume."""
    count = max(int(settings.epochs * len(train)), 2)
    print(f"probe: {counts}; {count:,} views of {len(train):,} messages")
    windows, rows = views(train, count, settings.augment, base.tokenizer, model.config.context, settings.seed)
    states = pooled_states(model, windows, base.tokenizer.end, precision=settings.precision)
    fit_probe(model, base, states, train["spam"].to_numpy()[rows])
    plain = finish(model).to("cpu")
    heads, tails = render_columns(check)
    figures = summary(check["spam"].to_numpy(), score(plain, base.tokenizer, heads, tails, precision="auto"))
    run.log(step=1, trained=counts.trained, total=counts.total, holdout_auc=round(figures["roc_auc"], 5))
    keep(run, plain)
    return plain.eval()


def keep(run: Run, model: GPT) -> None:
    """Write a finished network and its sizes into the run's folder, for `trainer.base.load_classifier`."""
    (run.folder / "sizes.json").write_text(json.dumps(dataclasses.asdict(model.config)))
    run.save({"model": {f"model.{name}": value for name, value in model.state_dict().items()}}, "final.pt")


def score(
    model: GPT, tokenizer: Tokenizer, heads: list[str], tails: list[str], *, closer: list[str] | None = None,
    batch: int = 32, pad_to: int = 0, precision: str = "fp32",
) -> np.ndarray:  # fmt: skip
    """Spam-over-ham logits (N,) of rendered messages; `closer` are passages to be read besides their beginnings."""
    context = model.config.context
    windows = [
        tokenizer.window(head, tail, context, near)
        for head, tail, near in zip(heads, tails, closer or [""] * len(heads), strict=True)
    ]
    logits = read_all(
        model, windows, tokenizer.end, model.classify, 2, precision=precision, batch=batch, pad_to=pad_to
    )  # fmt: skip
    return logits[:, 1] - logits[:, 0]
