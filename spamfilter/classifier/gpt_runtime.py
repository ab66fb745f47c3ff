"""Runs the exported GPT without torch: one graph, one message at a time, any length up to the context.

Messages are not padded into batches: on one core a batch is hardly faster, and alone a message gets the same verdict
whatever stands beside it, even where activations are quantised by their range.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import onnxruntime as ort


class Network(Protocol):
    """The GPT in service, whatever runs it."""

    def score(self, ids: npt.NDArray[np.int64]) -> tuple[float, npt.NDArray[np.float32]]:
        """The spam logit and the pooled state (C,) of one window (T,), 1 <= T <= context. Deterministic."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What makes a spam logit of a pooled state: `weight` (C,) and `bias`. Learnt anew without the graph."""

    weight: npt.NDArray[np.float32]
    bias: float

    def score(self, pooled: npt.NDArray[np.float32]) -> float:
        """The spam logit of a state (C,). Raises ValueError for a state of another width."""
        return float(np.dot(self.weight, pooled)) + self.bias

    def save(self, path: Path) -> None:
        """As a plain `.npz`."""
        np.savez(path, weight=self.weight, bias=np.float64(self.bias))

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a bundle. Raises ValueError when it is no vector of numbers and a number."""
        with np.load(path, allow_pickle=False) as stored:
            weight, bias = stored["weight"].astype(np.float32), float(stored["bias"])
        if weight.ndim != 1 or not np.isfinite(weight).all() or not np.isfinite(bias):
            raise ValueError(f"{path.name} is no head: weight (C,) and a bias")
        return cls(weight, bias)


class GptRuntime:
    """Implements `Network`: an ONNX graph, `ids` (T,) int64 -> `logit` (), spam over ham, and `pooled` (C,).

    A `head` speaks in place of the graph's own.
    """

    def __init__(self, path: Path, *, threads: int = 1, head: Head | None = None) -> None:
        self._head = head
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = True
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def score(self, ids: npt.NDArray[np.int64]) -> tuple[float, npt.NDArray[np.float32]]:
        """The spam logit and the pooled state of one window."""
        if self._head is None:
            logit, pooled = self._session.run(["logit", "pooled"], {"ids": ids})
            return float(np.asarray(logit)), np.asarray(pooled, np.float32)
        [state] = self._session.run(["pooled"], {"ids": ids})
        pooled = np.asarray(state, np.float32)
        return self._head.score(pooled), pooled
