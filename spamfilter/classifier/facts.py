"""The stage that carries over to foreign mail: a linear model over named facts about headers and structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spamfilter.facts import NAMES


@dataclass(frozen=True, slots=True)
class FactsModel:
    """A weight for each name in `facts.NAMES`, (F,), and a bias."""

    weights: npt.NDArray[np.float32]
    bias: float
    _by_name: dict[str, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keeps the weights by name as plain floats: a score adds up the few facts that are present."""
        object.__setattr__(self, "_by_name", dict(zip(NAMES, self.weights.tolist(), strict=True)))

    def score(self, facts: Mapping[str, bool]) -> float:
        """The linear score: above 0 leans to spam. A fact that is absent or unknown adds nothing."""
        weights = self._by_name
        return self.bias + sum([weights.get(name, 0.0) for name, present in facts.items() if present])

    def save(self, path: Path) -> None:
        """As a plain `.npz`, with the names, so that a bundle explains itself."""
        np.savez_compressed(path, weights=self.weights, bias=np.float64(self.bias), names=np.array(NAMES))

    @classmethod
    def load(cls, path: Path) -> FactsModel:
        """From a bundle. Raises ValueError when the names are not this version's."""
        with np.load(path, allow_pickle=False) as arrays:
            if tuple(arrays["names"].tolist()) != NAMES:
                raise ValueError(f"{path}: the facts in it are not those that this version extracts")
            return cls(arrays["weights"].astype(np.float32), float(arrays["bias"]))
