"""A run and a folder of corpora for experiments: a tiny base of random weights, 160 short messages, a short story."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spamfilter.classifier.tokenizer import write_ranks
from trainer import linear
from trainer.experiments import collection
from trainer.gpt import GPT, GPTConfig
from trainer.run import Run
from trainer.tokenizer import train_bpe

HAM = ["lunch on {0} at the usual place?", "the report {0} is in the shared folder", "see you {0}, drive safely ok"]
SPAM = [
    "win a free {0} prize now, call 0906{1} today",
    "cheap {0} pills, text 8700{1} now",
    "you have won {0} {1} cash",
]
WORDS = (
    "monday river lamp green stone paper seven garden window market horse silver basket winter candle bridge".split()
)


def data_folder(folder: Path) -> Path:
    """SMS (40 spam of 160) and The Verdict's stand-in; nothing else."""
    lines = []
    for i in range(160):
        spam, word = i % 4 == 0, " ".join(WORDS[(i * k + i // 16) % 16] for k in (1, 3, 5))
        lines.append(f"{'spam' if spam else 'ham'}\t{(SPAM if spam else HAM)[i % 3].format(word, 100 + i)}")
    folder.mkdir()
    (folder / "sms-spam-collection.tsv").write_text("\n".join(lines) + "\n")
    (folder / "the-verdict.txt").write_text("Every effort moves you, he said, and the garden was green. " * 60)
    return folder


def run_folder(folder: Path, corpora: tuple[str, ...] = ("enron",)) -> Path:
    """A run with a finished pretraining in it."""
    ranks = train_bpe([line.format("monday", 1) for line in HAM + SPAM] * 5, 300)
    pretrain = folder / "pretrain"
    pretrain.mkdir(parents=True)
    write_ranks(ranks, pretrain / "tokenizer.tiktoken")
    sizes = {"context": 32, "layers": 2, "heads": 2, "channels": 64, "dropout": 0.0}
    (pretrain / "settings.json").write_text(json.dumps({**sizes, "corpora": corpora}))
    model = GPT(GPTConfig(len(ranks) + 2, 32, 2, 2, 64))
    Run(pretrain).save({"model": {f"model.{name}": value for name, value in model.state_dict().items()}}, "final.pt")
    return folder


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """(data folder, run folder); no teacher is installed."""
    monkeypatch.setattr(linear, "ProcessPoolExecutor", lambda workers, context: ThreadPoolExecutor(workers))
    monkeypatch.setattr(collection, "find_spec", lambda name: None)
    return data_folder(tmp_path / "data"), run_folder(tmp_path / "run")
