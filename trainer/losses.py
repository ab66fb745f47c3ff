"""Losses of training: next token over the whole vocabulary or over sampled candidates, and nearness to a teacher.

Over a vocabulary of 8,192 the last product costs as much as the network itself. Sampled softmax (Jean et al. 2015)
takes it over the batch's own tokens and some drawn ones, each corrected by how likely it was to be among them: the
same loss a step at twice the speed. Evaluation always takes the whole vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORE = -100


class SampledSoftmax:
    """Cross-entropy over candidates: every token of the batch and `drawn` others, drawn by the root of their counts."""

    def __init__(self, counts: np.ndarray, drawn: int) -> None:
        share = torch.tensor((counts + 1.0) / (counts + 1.0).sum(), dtype=torch.float64)
        self._share = share
        self._root = share.sqrt() / share.sqrt().sum()
        self._drawn = min(drawn, len(counts))

    def __call__(self, states: Tensor, table: Tensor, targets: Tensor, seed: int) -> Tensor:
        """(N, C) states, (V, C) table, (N,) targets -> mean loss (). `seed` decides the draw, so a step repeats."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(self._root, self._drawn, generator=generator).to(targets.device)
        candidates = torch.unique(torch.cat([targets, drawn]))
        at = candidates.cpu()
        absent = (1 - self._share[at]) ** len(targets) * (1 - self._root[at]) ** self._drawn
        correction = (1 - absent).clamp_min(1e-9).log().float().to(states.device)
        logits = F.linear(states, table[candidates]).float() - correction
        return F.cross_entropy(logits, torch.searchsorted(candidates, targets))


def vocabulary_loss(states: Tensor, table: Tensor, targets: Tensor, *, chunk: int = 4096) -> Tensor:
    """Mean cross-entropy () of (N, C) states over the whole (V, C) table for targets (N,) that are not IGNORE.

    The product is made `chunk` tokens at a time, so that (N, V) never stands in memory at once.
    """
    keep = targets != IGNORE
    states, targets = states[keep], targets[keep]
    total = states.new_zeros((), dtype=torch.float32)
    for part, wanted in zip(states.split(chunk), targets.split(chunk), strict=True):
        total = total + F.cross_entropy(F.linear(part, table).float(), wanted, reduction="sum")
    return total / max(len(targets), 1)


def teacher_loss(projector: nn.Linear, states: Tensor, wanted: Tensor) -> Tensor:
    """Mean of 1 - cosine between projected states (N, C) and a teacher's unit embeddings (N, W)."""
    return (1 - F.cosine_similarity(projector(states).float(), wanted, dim=-1)).mean()


def picking_loss(projected: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy () of picking each row's own among the batch's unit embeddings (B, W) by cosine, both ways."""
    likeness = F.normalize(projected.float(), dim=-1) @ wanted.T / temperature
    own = torch.arange(len(wanted), device=wanted.device)
    return (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)) / 2
