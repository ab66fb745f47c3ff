"""One process of a pretraining on made texts; alone it takes batches of 8 windows, as one of two batches of 4."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
import torch.distributed as dist

from trainer.corpus import Piece
from trainer.recipes import pretrain as pretraining
from trainer.recipes.pretrain import Pretrain
from trainer.run import Run

_TEXTS = [f"message {n} says that lunch is on monday at the usual place, number {n * 7 % 31}" for n in range(200)]


def main(folder: Path) -> None:
    """Train for 6 steps of 8 windows."""
    pretraining.pieces = lambda corpora, table, data: [Piece(text, "") for text in _TEXTS]  # type: ignore[assignment]
    world = int(os.environ.get("WORLD_SIZE", "1"))
    settings = Pretrain(
        vocab_size=280, context=16, layers=1, heads=2, channels=16, batch=8 // world, tokens=6 * 8 * 16, warmup=2,
        threads=1, checkpoint_every=3, candidates=0, teacher=0.0, precision="fp32", device="cpu",
    )  # fmt: skip
    pretraining.pretrain(settings, Run.open(folder, settings), pd.DataFrame(), folder, teacher_cache=folder)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
