"""A run's folder: frozen settings, `metrics.jsonl`, and a checkpoint from which the run goes on as if never stopped."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
import yaml
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from trainer.errors import RecipeError

R = TypeVar("R")
_LOG_EVERY = 20


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
    if step < warmup:
        return (step + 1) / warmup
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


class Pace(Protocol):
    """The settings of a recipe that the loop reads."""

    learning_rate: float
    warmup: int
    clip: float
    checkpoint_every: int


def advance(
    run: Run,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    pace: Pace,
    *,
    title: str,
    steps: int,
    floor: float,
    loss_of: Callable[[int], tuple[Tensor, int]],
    measure: Callable[[], Mapping[str, float]],
) -> None:
    """Train from the run's checkpoint, if there is one, to the last step.

    `loss_of(step)` gives the loss of a step's batch and how many tokens it read; it must depend on the step alone, so
    that a stopped run goes on as if it had not been. `measure` gives held-out figures, logged with each checkpoint.
    """
    step = 0
    if (state := run.load()) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    columns = (
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} loss {task.fields[loss]:.3f} {task.fields[rate]:.0f} tok/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=steps, completed=step, loss=math.nan, rate=0.0)
        began, losses, tokens = time.monotonic(), [], 0
        while step < steps:
            rate = pace.learning_rate * cosine(step, steps, pace.warmup, floor)
            for group in optimizer.param_groups:
                group["lr"] = rate
            model.train()
            loss, read = loss_of(step)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), pace.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            losses.append(loss.item())
            tokens += read
            if step % _LOG_EVERY == 0:
                speed = tokens / (time.monotonic() - began)
                mean = sum(losses) / len(losses)
                began, losses, tokens = time.monotonic(), [], 0
                progress.update(bar, completed=step, loss=mean, rate=speed)
                run.log(step=step, loss=round(mean, 4), rate=round(speed), lr=rate)
            if step % pace.checkpoint_every == 0 or step == steps:
                run.log(step=step, **measure())
                run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step})
