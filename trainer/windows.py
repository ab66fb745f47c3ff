"""Windows of tokens: varied views of training messages, rows of a batch, and what a network makes of many at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from rich.progress import track
from torch import Tensor

from spamfilter.classifier.ngram import passages
from spamfilter.classifier.tokenizer import Tokenizer
from trainer.augment import Augment, GoodWords, varied
from trainer.gpt import GPT
from trainer.loop import autocast


class Views:
    """Training views of a table's messages; good words are drawn from its ham."""

    def __init__(self, train: pd.DataFrame, augment: Augment, tokenizer: Tokenizer, context: int) -> None:
        self._augment, self._tokenizer, self._context = augment, tokenizer, context
        self._before, self._texts, self._tails = (train[name].to_list() for name in ("preamble", "text", "tail"))
        ham = [text for text, spam in zip(self._texts, train["spam"], strict=True) if not spam]
        # a ham text without five words is no good word, and a corpus may be of such texts only
        self._good = GoodWords(ham) if any(len(text.split()) >= 5 for text in ham) else None

    def text(self, row: int, rng: np.random.Generator) -> str:
        """A message varied by chance."""
        return varied(self._before[row], self._texts[row], rng, self._augment, self._good)

    def window(self, row: int, text: str, rng: np.random.Generator) -> np.ndarray:
        """The window (T,) of a varied message."""
        tail = self._tails[row]
        return self._tokenizer.window(text, tail, self._context, another(text, tail, rng))


def another(text: str, tail: str, rng: np.random.Generator) -> str:
    """In service the linear stage picks the passage that is read besides the beginning; in training chance does."""
    if rng.random() < 0.5:
        return ""
    texts = passages(text, tail)
    return texts[int(rng.integers(1, len(texts)))] if len(texts) > 1 else ""


def collate(windows: list[np.ndarray], pad: int, pad_to: int = 0) -> tuple[Tensor, Tensor]:
    """Windows of different lengths -> (B, T) ids padded on the right, (B,) lengths."""
    lengths = torch.tensor([len(w) for w in windows])
    ids = torch.full((len(windows), max(int(lengths.max()), pad_to)), pad, dtype=torch.long)
    for row, window in zip(ids, windows, strict=True):
        row[: len(window)] = torch.from_numpy(window)
    return ids, lengths


@torch.no_grad()
def read_all(
    model: GPT, windows: list[np.ndarray], pad: int, compute: Callable[[Tensor, Tensor], Tensor], width: int, *,
    precision: str, batch: int, pad_to: int = 0, title: str = "",
) -> np.ndarray:  # fmt: skip
    """`compute(ids, lengths)` (B, width) over all windows, similar lengths together: (N, width) float32, in order.

    A `title` shows progress where there are many.
    """
    model.eval()
    device = model.tokens.weight.device
    order = np.argsort([len(window) for window in windows], kind="stable")
    out = np.zeros((len(windows), width), np.float32)
    for start in track(range(0, len(order), batch), title, disable=not title or len(order) < 2000):
        rows = order[start : start + batch]
        ids, lengths = collate([windows[i] for i in rows], pad, pad_to)
        with autocast(device, precision):
            out[rows] = compute(ids.to(device), lengths.to(device)).float().cpu().numpy()
    return out
