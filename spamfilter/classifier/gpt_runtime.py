"""Runs the exported GPT without torch: one graph, one message at a time, any length up to the context.

Messages are not padded into batches: on one core a batch is hardly faster, and alone a message gets the same verdict
whatever stands beside it, even where activations are quantised by their range.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort


class Network(Protocol):
    """The GPT in service, whatever runs it."""

    def score(self, ids: npt.NDArray[np.int64]) -> tuple[float, npt.NDArray[np.float32]]:
        """The spam logit and the pooled state (C,) of one window (T,), 1 <= T <= context. Deterministic."""
        ...


class GptRuntime:
    """Implements `Network`: an ONNX graph, `ids` (T,) int64 -> `logit` (), spam over ham, and `pooled` (C,)."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = True
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def score(self, ids: npt.NDArray[np.int64]) -> tuple[float, npt.NDArray[np.float32]]:
        """The spam logit and the pooled state of one window."""
        logit, pooled = self._session.run(["logit", "pooled"], {"ids": ids})
        return float(np.asarray(logit)), np.asarray(pooled, np.float32)
