"""A whole bundle in a few seconds: random weights, real formats. For tests of what carries a model, not of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from spamfilter.classifier.bundle import Bundle
from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import DIMENSION, NgramModel
from spamfilter.classifier.tokenizer import write_ranks
from spamfilter.facts import NAMES
from trainer.export import Parts, write_bundle
from trainer.gpt import GPT, GPTConfig
from trainer.tokenizer import train_bpe

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "win a free prize now, click here",
    "meeting moved to monday",
] * 5
SAMPLES = {
    "ham": b"From: a@example.org\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: hi\n\nsee you on monday\n",
    "text": b"win a free prize now",
}


def tiny_model(vocab_size: int, seed: int = 0) -> GPT:
    """A random network whose classifier has something to say."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(vocab_size, context=48, layers=2, heads=2, channels=32))
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    return model.eval()


def tiny_ranks() -> dict[bytes, int]:
    """256 bytes and a few merges."""
    return train_bpe(TEXTS, 300)


def tiny_bundle(folder: Path, *, int8: bool = True) -> tuple[Bundle, GPT]:
    """A complete bundle at `folder`, and the network that it holds."""
    ranks = tiny_ranks()
    tokenizer = folder.parent / "tokenizer.tiktoken"
    write_ranks(ranks, tokenizer)
    model = tiny_model(len(ranks) + 2)
    rng = np.random.default_rng(0)
    ngram = NgramModel(rng.normal(size=DIMENSION).astype(np.float32), np.ones(DIMENSION, np.float32), 0.1)
    facts = FactsModel(rng.normal(size=len(NAMES)).astype(np.float32), -0.1)
    each = {"scale": 1.0, "bias": 0.0}
    linear = {"weight": 1.0, "centre": 0.0, "unit": 1.0, "bounded": False}
    stages = {"ngram": linear, "facts": {**linear, "unit": 2.0, "bounded": True}, "gpt": linear}
    ensemble = {
        "mail": {"stages": stages, "bias": 0.0},
        "text": {"stages": stages, "bias": 0.0},
        "stages": {"ngram": each, "facts": each, "gpt": each},
    }
    thresholds = [
        {"false_positive_rate": 0.001, "probability": 0.95, "recall": 0.8},
        {"false_positive_rate": 0.01, "probability": 0.6, "recall": 0.9},
        {"false_positive_rate": 0.1, "probability": 0.2, "recall": 0.95},
    ]
    parts = Parts(tokenizer, ngram, facts, ensemble, thresholds, {}, {}, {"messages": "none"}, SAMPLES)
    return write_bundle(folder, "tiny", model, parts, int8=int8), model
