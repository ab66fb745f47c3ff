"""How much of a pretrained GPT a fine-tuning trains: only the head, the last blocks, adapters, or everything.

`probe` is `head`, fitted in one go (`trainer.recipes.probe`) instead of by steps.

`last-block` is the book's choice (Raschka 2024, chapter 6): last block, final norm and a new two-class head. Frozen
lower blocks run without a graph, so that `head` and `last-*` cost little more than reading.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from trainer.errors import RecipeError
from trainer.gpt import GPT, parameter_count
from trainer.lora import TARGETS, Nf4Linear, add_adapters, merge

STRATEGIES = ("probe", "head", "last-block", "last-n", "lora", "qlora", "full")


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters that are trained, and all of them (adapters included, 4-bit weights counted one each)."""

    trained: int
    total: int

    def __str__(self) -> str:
        return f"{self.trained:,} of {self.total:,} parameters are trained ({100 * self.trained / self.total:.3g} %)"


def prepare(
    model: GPT, strategy: str, *, seed: int = 123, new_head: bool = True, last: int = 2, rank: int = 8,
    alpha: float = 16.0, targets: Sequence[str] = TARGETS, dropout: float = 0.0,
) -> Counts:  # fmt: skip
    """Make `model` ready to be fine-tuned by `strategy`, in place. Parameters that it freezes have no `requires_grad`.

    `last` is the number of blocks of `last-n`; `rank`, `alpha`, `targets` and `dropout` are those of the adapters of
    `lora` and `qlora`. The two-class head is drawn anew from `seed`, or kept where a trained classifier learns on
    (`new_head=False`). Call it before the optimizer is made. Raises RecipeError.
    """
    if strategy not in STRATEGIES:
        near = difflib.get_close_matches(strategy, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise RecipeError(f"unknown strategy {strategy!r}{hint} There are {', '.join(STRATEGIES)}")
    layers = len(model.blocks)
    if strategy == "last-n" and not 1 <= last <= layers:
        raise RecipeError(f"last is {last}: the model has {layers} blocks, train from 1 to {layers} of them")
    model.requires_grad_(strategy == "full")
    model.frozen_blocks = 0
    if strategy in ("lora", "qlora"):
        add_adapters(
            model, rank=rank, alpha=alpha, targets=targets, dropout=dropout, quantise=strategy == "qlora", seed=seed
        )
    elif strategy != "full":
        trained = {"probe": 0, "head": 0, "last-block": 1, "last-n": last}[strategy]
        model.frozen_blocks = layers - trained
        model.blocks[layers - trained :].requires_grad_(True)
        model.norm.requires_grad_(trained > 0)
    model.classifier.requires_grad_(True)
    if new_head:
        model.reset_head(seed)
    return count(model)


def finish(model: GPT) -> GPT:
    """A plain GPT again, in place: adapters merged, 4-bit weights restored, nothing frozen."""
    merge(model).requires_grad_(True)
    model.frozen_blocks = 0
    return model


def count(model: nn.Module) -> Counts:
    """How many parameters are trained, of how many."""
    packed = sum(part.packed.numel() for part in model.modules() if isinstance(part, Nf4Linear))
    return Counts(parameter_count(model, trained_only=True), parameter_count(model) + packed)
