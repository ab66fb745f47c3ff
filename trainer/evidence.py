"""The three kinds of evidence over one table: fits the linear stages on any rows, scores any rows with all three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import NgramModel, passages
from trainer.data.prepared import fact_matrix, render_columns
from trainer.gpt import GPT
from trainer.linear import Counts, count, fit_facts, fit_ngram, score_ngram, source_weights
from trainer.recipes.finetune import score as score_gpt
from trainer.recipes.probe import pooled_states


@dataclass(frozen=True, slots=True)
class Evidence:
    """A table (N rows) with what the stages read of it: n-gram counts (N, DIMENSION), facts (N, F), a tokenizer."""

    table: pd.DataFrame
    counts: Counts
    matrix: np.ndarray
    tokenizer: Any

    @classmethod
    def of(cls, table: pd.DataFrame, tokenizer: Any) -> Evidence:
        """Count and gather once; a minute for fifty thousand messages on two cores."""
        return cls(table, count(*render_columns(table)), fact_matrix(table), tokenizer)

    @property
    def spam(self) -> np.ndarray:
        """Labels (N,)."""
        return self.table["spam"].to_numpy()

    @property
    def source(self) -> np.ndarray:
        """Names of sources (N,)."""
        return self.table["source"].to_numpy()

    @property
    def has_headers(self) -> np.ndarray:
        """Where the header facts are known (N,): such messages are put together as mail, others as text."""
        return ~np.isnan(self.matrix[:, 0])

    def rows(self, part: str, *, without: str = "") -> np.ndarray:
        """Row numbers of a part, less those of a source and its near-duplicates."""
        of_part = (self.table["part"] == part).to_numpy()
        if without:
            left_out = self.source == without
            of_part = of_part & ~left_out & ~self.table["group"].isin(set(self.table["group"][left_out])).to_numpy()
        return np.flatnonzero(of_part)

    def fit(self, rows: np.ndarray) -> tuple[NgramModel, FactsModel]:
        """Both linear stages on the given rows; facts on those whose header facts are known."""
        spam, source = self.spam, self.source
        ngram = fit_ngram(self.counts[rows], spam[rows], source_weights(source[rows], spam[rows]))
        mail = rows[self.has_headers[rows]]
        weights = source_weights(source[mail], spam[mail]) if len(mail) else np.zeros(0)
        return ngram, fit_facts(self.matrix[mail], spam[mail], weights)

    def scores(
        self, rows: np.ndarray, ngram: NgramModel, facts: FactsModel, model: GPT, *, precision: str = "fp32"
    ) -> dict[str, np.ndarray]:
        """Every stage's linear scores of the given rows, by name."""
        heads, tails = render_columns(self.table.iloc[rows])
        linear, closer = self._closers(rows, ngram)
        return {
            "ngram": linear,
            "facts": np.nan_to_num(self.matrix[rows]) @ facts.weights + facts.bias,
            "gpt": score_gpt(model, self.tokenizer, heads, tails, closer=closer, precision=precision),
        }

    def states(self, rows: np.ndarray, ngram: NgramModel, model: GPT) -> np.ndarray:
        """The GPT's pooled states (N, C) of the given rows, read as in service."""
        heads, tails = render_columns(self.table.iloc[rows])
        _, closer = self._closers(rows, ngram)
        read = zip(heads, tails, closer, strict=True)
        windows = [self.tokenizer.window(head, tail, model.config.context, last) for head, tail, last in read]
        return pooled_states(model, windows, self.tokenizer.end, precision="auto")

    def _closers(self, rows: np.ndarray, ngram: NgramModel) -> tuple[np.ndarray, list[str]]:
        """The n-grams' scores (N,), and the passage that the GPT reads beside the beginning, "" for none."""
        heads, tails = render_columns(self.table.iloc[rows])
        linear, worst = score_ngram(ngram, self.counts[rows])
        read = zip(heads, tails, worst, strict=True)
        return linear, [passages(head, tail)[place] if place else "" for head, tail, place in read]
