"""Adapters: a frozen matrix learns by two thin ones beside it (LoRA), if need be over 4-bit weights (QLoRA).

LoRA: Hu et al. 2021, y = W x + (alpha / r) B A x with B zero at first. QLoRA: Dettmers et al. 2023, W held as NF4 with
doubly quantised scales; torchao does that arithmetic, in plain torch operations that run on any device.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.errors import RecipeError
from trainer.gpt import GPT

TARGETS = ("qkv", "out", "up", "down")
_BLOCK = 64  # weights that share a scale


class Nf4Linear(nn.Module):
    """A frozen linear layer whose matrix takes 4.1 bits a weight: (*, in) -> (*, out).

    The packed matrix is no part of the state dict: it follows exactly from the weights that it was made of.
    """

    packed: Tensor

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = base.in_features, base.out_features
        self.register_buffer("packed", _nf4(base.weight.detach()), persistent=False)
        self.bias = base.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.packed, self.bias)

    def dequantised(self) -> nn.Linear:
        """A plain layer with the weights that this one computes with."""
        with torch.device("meta"):
            plain = nn.Linear(self.in_features, self.out_features)
        plain.weight = nn.Parameter(self.packed.to(torch.float32), requires_grad=False)
        plain.bias = self.bias
        return plain


class LoraLinear(nn.Module):
    """A frozen linear layer and its adapter: (*, in) -> (*, out). `a` is (rank, in), `b` is (out, rank)."""

    def __init__(self, base: nn.Linear | Nf4Linear, rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.base, self.scale, self.drop = base, alpha / rank, nn.Dropout(dropout)
        like = base.packed if isinstance(base, Nf4Linear) else base.weight
        self.a = nn.Parameter(torch.empty(rank, base.in_features, device=like.device))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=like.device))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(self.drop(x), self.a), self.b) * self.scale

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One plain layer that computes the same: W + (alpha / r) B A."""
        plain = self.base.dequantised() if isinstance(self.base, Nf4Linear) else self.base
        plain.weight += self.scale * (self.b @ self.a)
        return plain


def add_adapters(
    model: GPT, *, rank: int = 8, alpha: float = 16.0, targets: Sequence[str] = TARGETS, dropout: float = 0.0,
    quantise: bool = False, seed: int = 123,
) -> int:  # fmt: skip
    """Put an adapter beside every linear layer of the blocks that `targets` names; returns how many.

    The wrapped layers are frozen, all else is left as it is. `seed` alone draws the matrices `a`. With `quantise` the
    wrapped layers go down to 4 bits first. Raises RecipeError.
    """
    if rank < 1 or not 0 <= dropout < 1:
        raise RecipeError(f"adapters of rank {rank} with dropout {dropout}: the rank is 1 or more, dropout from 0 to 1")
    if _adapters(model):
        raise RecipeError("the model has adapters already: merge them before new ones are added")
    known = sorted({name.rpartition(".")[2] for name, part in _linears(model)})
    for target in targets:
        if target not in known:
            near = difflib.get_close_matches(target, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise RecipeError(f"unknown target {target!r} of adapters{hint} There are {', '.join(known)}")
    generator = torch.Generator().manual_seed(seed)
    chosen = [(name, part) for name, part in _linears(model) if name.rpartition(".")[2] in targets]
    for name, part in chosen:
        part.requires_grad_(False)
        adapted = LoraLinear(Nf4Linear(part) if quantise else part, rank, alpha, dropout)
        drawn = torch.empty(adapted.a.shape).normal_(std=part.in_features**-0.5, generator=generator)
        with torch.no_grad():
            adapted.a.copy_(drawn)
        model.set_submodule(name, adapted, strict=True)
    return len(chosen)


def merge(model: GPT) -> GPT:
    """Fold every adapter into its layer, in place: a plain GPT again, with a plain GPT's state-dict keys."""
    for name, part in list(model.named_modules()):
        if isinstance(part, LoraLinear):
            model.set_submodule(name, part.merged(), strict=True)
    return model


def adapter_state(model: GPT) -> dict[str, Tensor]:
    """What adapting has learnt and nothing else: every `a` and `b`, and the two-class head."""
    state = {f"classifier.{key}": value for key, value in model.classifier.state_dict().items()}
    for name, part in _adapters(model).items():
        state[f"{name}.a"], state[f"{name}.b"] = part.a.detach(), part.b.detach()
    return state


def save_adapters(model: GPT, path: Path) -> None:
    """Write `adapter_state`, and how it was made, as a safetensors file: megabytes beside a base of gigabytes."""
    adapters = _adapters(model)
    if not adapters:
        raise RecipeError("the model has no adapters to save: they are merged, or were never added")
    first = next(iter(adapters.values()))
    made = {
        "rank": str(first.a.shape[0]),
        "alpha": str(first.scale * first.a.shape[0]),
        "targets": " ".join(sorted({name.rpartition(".")[2] for name in adapters})),
        "quantised": str(isinstance(first.base, Nf4Linear)),
    }
    fresh = path.with_name(f".{path.name}.new")
    save_file({name: tensor.contiguous() for name, tensor in adapter_state(model).items()}, fresh, metadata=made)
    fresh.replace(path)


def load_adapters(model: GPT, path: Path, *, dropout: float = 0.0) -> GPT:
    """Add the adapters of a file to the plain base that they were trained on, in place. Raises RecipeError."""
    try:
        with safe_open(path, "pt") as stored:
            made = stored.metadata() or {}
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
        rank, alpha, targets = int(made["rank"]), float(made["alpha"]), made["targets"].split()
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RecipeError(f"{path}: not a file of adapters ({error!r}); give one that save_adapters wrote") from None
    add_adapters(model, rank=rank, alpha=alpha, targets=targets, dropout=dropout, quantise=made["quantised"] == "True")
    expected = adapter_state(model)
    for name in sorted(expected.keys() | state.keys()):
        if name not in state or name not in expected or state[name].shape != expected[name].shape:
            raise RecipeError(f"{path}: {name} does not fit this model; load the base that it was trained on")
    model.load_state_dict(state, strict=False)
    return model


def _linears(model: GPT) -> list[tuple[str, nn.Linear]]:
    return [(f"blocks.{name}", part) for name, part in model.blocks.named_modules() if type(part) is nn.Linear]


def _adapters(model: GPT) -> dict[str, LoraLinear]:
    return {name: part for name, part in model.named_modules() if isinstance(part, LoraLinear)}


def _nf4(weight: Tensor) -> Tensor:
    """The (out, in) matrix as NF4; a tensor that `F.linear` multiplies with and `.to(dtype)` restores."""
    try:
        logging.disable(logging.WARNING)  # it reports kernels for other devices that it could not load
        from torchao.quantization import to_nf4
    except ImportError:
        raise RecipeError(
            "4-bit training needs torchao, which is not installed: pip install -c constraints.txt 'spamfilter[qlora]'"
        ) from None
    finally:
        logging.disable(logging.NOTSET)
    scales, rest = divmod(weight.numel(), _BLOCK)
    if rest:
        raise RecipeError(
            f"a matrix of {tuple(weight.shape)} cannot be packed in blocks of {_BLOCK}: widen the channels"
        )
    # scales are quantised in groups that must divide them; 256, or for 1,600 channels 250
    group = max(size for size in range(1, min(scales, 256) + 1) if scales % size == 0)
    packed: Tensor = to_nf4(weight, _BLOCK, group)
    return packed
