"""A run's folder: frozen settings, `metrics.jsonl`, and a checkpoint from which the run goes on as if never stopped."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from torch import Tensor, nn

R = TypeVar("R")


class RecipeError(Exception):
    """What is wrong in a recipe or a checkpoint, and what to do."""


def load_recipe(kind: type[R], name: str, overrides: Mapping[str, Any] | None = None) -> R:
    """Recipe settings: the shipped YAML `name` (or a path), then overrides. Unknown keys name the nearest one.

    Raises RecipeError.
    """
    path = Path(name)
    text = (
        path.read_text("utf-8")
        if path.suffix
        else resources.files("trainer.recipes").joinpath(f"{name}.yaml").read_text("utf-8")
    )
    values = {**(yaml.safe_load(text) or {}), **(overrides or {})}
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise RecipeError(f"{name}: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return kind(**values)


@dataclass(slots=True)
class Run:
    """The folder of one run."""

    folder: Path

    @classmethod
    def open(cls, folder: Path, settings: Any) -> Run:
        """Create the folder, or open it to resume. Raises RecipeError when it was made with other settings."""
        folder.mkdir(parents=True, exist_ok=True)
        frozen = json.dumps(dataclasses.asdict(settings), indent=1, sort_keys=True)
        file = folder / "settings.json"
        if file.exists() and file.read_text() != frozen:
            raise RecipeError(f"{folder} holds a run with other settings: choose another folder, or remove it")
        file.write_text(frozen)
        return cls(folder)

    def log(self, **values: float | int | str) -> None:
        """One line of metrics."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"time": round(time.time(), 1), **values}) + "\n")

    def save(self, state: dict[str, Any], name: str = "checkpoint.pt") -> None:
        """Write a checkpoint so that a crash leaves the old one or the new one, never half."""
        temporary = self.folder / f".{name}.new"
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / name)

    def load(self, name: str = "checkpoint.pt") -> dict[str, Any] | None:
        """The last checkpoint, or None. Tensors and plain values only: nothing in it is executed."""
        path = self.folder / name
        if not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state


def decayed(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: matrices decay, vectors (norms, biases) do not."""
    matrices: list[Tensor] = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    vectors: list[Tensor] = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def cosine(step: int, steps: int, warmup: int, floor: float = 0.1) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine down to `floor`."""
    import math

    if step < warmup:
        return (step + 1) / warmup
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
