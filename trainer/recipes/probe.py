"""Strategy `probe`: everything frozen, a linear head on the states' projection to the teacher's space, fitted at once.

A network that is fine-tuned on old mail learns the words of old mail, as n-grams do, and adds nothing to them
elsewhere. What it knew before is the evidence that nothing else has; so the head reads that, and no more is trained.
The head is a logistic regression (convex, a minute), folded with the projection into the network's own classifier.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression

from spamfilter.classifier.tokenizer import Tokenizer
from trainer.augment import Augment
from trainer.base import Base
from trainer.gpt import GPT
from trainer.linear import source_weights
from trainer.windows import Views, read_all


def views(
    train: pd.DataFrame, count: int, augment: Augment, tokenizer: Tokenizer, context: int, seed: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Windows of `count` varied views of messages, drawn by source and class, and which row (count,) each is of."""
    rng = np.random.default_rng(seed)
    weights = source_weights(train["source"].to_numpy(), train["spam"].to_numpy())
    rows = rng.choice(len(train), count, p=weights / weights.sum())
    seen = Views(train, augment, tokenizer, context)
    return [seen.window(row, seen.text(row, rng), rng) for row in rows], rows


def pooled_states(model: GPT, windows: list[np.ndarray], pad: int, *, precision: str, batch: int = 64) -> np.ndarray:
    """Pooled states (N, C) float32 of windows."""
    width = model.config.channels
    return read_all(model, windows, pad, model.pooled, width, precision=precision, batch=batch, title="states")


def fit_probe(model: GPT, base: Base, states: np.ndarray, spam: np.ndarray, *, cost: float = 0.3) -> None:
    """Fit the head on pooled states (N, C) and labels (N,), and write it into `model.classifier`."""
    if base.projector is None:
        matrix, offset = np.eye(states.shape[1], dtype=np.float32), np.zeros(states.shape[1], np.float32)
    else:
        matrix, offset = base.projector["weight"].numpy(), base.projector["bias"].numpy()
    features = states @ matrix.T + offset
    centre, spread = features.mean(0), np.maximum(features.std(0), 1e-6)
    fitted = LogisticRegression(C=cost, max_iter=1000).fit((features - centre) / spread, spam)
    weights = fitted.coef_[0] / spread
    bias = float(fitted.intercept_[0] + weights @ (offset - centre))
    folded = torch.tensor(weights @ matrix, dtype=torch.float32)
    with torch.no_grad():  # the logit is spam's score less ham's
        model.classifier.weight.copy_(torch.stack([-folded / 2, folded / 2]))
        model.classifier.bias.copy_(torch.tensor([-bias / 2, bias / 2]))
