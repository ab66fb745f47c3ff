"""The one training loop: warm-up and cosine, clipping, accumulation, averaging of weights, early stop, exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from trainer.parallel import Parallel
from trainer.run import Run

_LOG_EVERY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What every recipe says of its training.

    `accumulate` batches make one step, on each process. `precision`: auto (bf16 where the device has it), bf16, fp32.
    `average`: decay of the running mean of weights that is kept as the result, 0 for none. `patience`: stop after so
    many measurements without a better watched figure, 0 for never.
    """

    learning_rate: float = 0.001
    weight_decay: float = 0.05
    warmup: int = 100
    floor: float = 0.1
    clip: float = 1.0
    accumulate: int = 1
    precision: str = "auto"
    device: str = "auto"
    average: float = 0.0
    patience: int = 0
    seed: int = 123
    threads: int = 2
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "bf16", "fp32"):
            raise ValueError(f"precision: {self.precision!r}; choose auto, bf16 or fp32")
        if self.accumulate < 1 or self.checkpoint_every < 1:
            raise ValueError("accumulate and checkpoint_every are at least 1")
        if not 0 <= self.average < 1:
            raise ValueError(f"average: {self.average}; a decay below 1, such as 0.998")


class Task(Protocol):
    """What a recipe gives to the loop."""

    def loss(self, number: int) -> tuple[Tensor, int]:
        """Loss of batch `number` and how many tokens it read; depends on the number and the weights alone."""
        ...

    def measure(self) -> Mapping[str, float]:
        """Held-out figures; the key named `watch` below decides an early stop."""
        ...


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: matrices decay, vectors (norms, biases) do not; frozen ones are not there."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def cosine(step: int, steps: int, warmup: int, floor: float = 0.1) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """bf16 autocast where asked for, or where the device has it in hardware."""
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
        precision = "bf16" if fast else "fp32"
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


@contextmanager
def averaged(model: nn.Module, average: Mapping[str, Tensor] | None) -> Any:
    """The model with its averaged weights, for as long as the block lasts."""
    if average is None:
        yield
        return
    own = {name: p.detach().clone() for name, p in model.named_parameters() if name in average}
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in average.items():
            parameters[name].copy_(value)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in own.items():
                parameters[name].copy_(value)


def advance(
    run: Run, model: nn.Module, task: Task, pace: Pace, parallel: Parallel, *, title: str, steps: int,
    watch: str, higher_is_better: bool = False,
) -> None:  # fmt: skip
    """Train `model` from the run's checkpoint, if there is one, to the last step or the early stop.

    The model ends with the averaged weights, and with an early stop with the best measured ones.
    """
    optimizer = torch.optim.AdamW(
        parameter_groups(model, pace.weight_decay), lr=pace.learning_rate, betas=(0.9, 0.95), fused=True
    )
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    average = {name: p.detach().clone() for name, p in named.items()} if pace.average else None
    sign = -1.0 if higher_is_better else 1.0
    step, best, worse, tokens_read = 0, math.inf, 0, 0
    torch.manual_seed(pace.seed + parallel.rank)
    if (state := run.load()) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, best, worse, tokens_read = state["step"], state["best"], state["worse"], state["tokens"]
        if average is not None:
            average = {name: value.to(parallel.device) for name, value in state["average"].items()}
        torch.set_rng_state(state["rng"])
        if parallel.device.type == "cuda" and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"])
    with _progress(title, steps, step, visible=parallel.leads) as report:
        began, losses, tokens = time.monotonic(), [], 0
        while step < steps and not (pace.patience and worse >= pace.patience):
            rate = pace.learning_rate * cosine(step, steps, pace.warmup, pace.floor)
            for group in optimizer.param_groups:
                group["lr"] = rate
            model.train()
            for part in range(pace.accumulate):
                with autocast(parallel.device, pace.precision):
                    loss, read = task.loss((step * pace.accumulate + part) * parallel.world + parallel.rank)
                (loss / pace.accumulate).backward()
                losses.append(loss.item())
                tokens += read * parallel.world
            parallel.average_gradients(model)
            torch.nn.utils.clip_grad_norm_(named.values(), pace.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if average is not None:
                decay = min(pace.average, step / (step + 10))
                torch._foreach_lerp_(list(average.values()), [p.detach() for p in named.values()], 1 - decay)
            if step % _LOG_EVERY == 0 or step == steps:
                speed, mean = tokens / (time.monotonic() - began), sum(losses) / len(losses)
                tokens_read += tokens
                began, losses, tokens = time.monotonic(), [], 0
                report(step, mean, speed)
                if parallel.leads:
                    run.log(step=step, tokens=tokens_read, loss=round(mean, 4), rate=round(speed), lr=rate)
            if step % pace.checkpoint_every == 0 or step == steps:
                if parallel.leads:
                    with averaged(model, average):
                        figures = task.measure()
                        run.log(step=step, tokens=tokens_read, **figures)
                        now = sign * figures[watch]
                        worse = 0 if now < best else worse + 1
                        if now < best:
                            best = now
                            if pace.patience:
                                run.save({"model": model.state_dict(), "step": step}, "best.pt")
                    run.save(_state(model, optimizer, average, parallel, step, best, worse, tokens_read))
                worse = pace.patience if parallel.agree(bool(pace.patience) and worse >= pace.patience) else worse
                began = time.monotonic()
    parallel.wait()
    if average is not None:
        model.load_state_dict({**model.state_dict(), **average})
    if pace.patience and (chosen := run.load("best.pt")) is not None:
        model.load_state_dict(chosen["model"])
    if parallel.leads:
        run.save({"model": model.state_dict(), "step": step}, "final.pt")
    parallel.wait()


def _state(
    model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor] | None, parallel: Parallel,
    step: int, best: float, worse: int, tokens: int,
) -> dict[str, Any]:  # fmt: skip
    state = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average or {}, "step": step,
        "best": best, "worse": worse, "tokens": tokens, "rng": torch.get_rng_state(),
    }  # fmt: skip
    if parallel.device.type == "cuda":
        state["cuda_rng"] = torch.cuda.get_rng_state()
    return state


@contextmanager
def _progress(title: str, steps: int, done: int, *, visible: bool) -> Any:
    columns = (
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}  loss {task.fields[loss]:.3f}  {task.fields[rate]:,.0f} tokens/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not visible) as progress:
        bar = progress.add_task("", total=steps, completed=done, loss=math.nan, rate=0.0)
        yield lambda step, loss, rate: progress.update(bar, completed=step, loss=loss, rate=rate)
