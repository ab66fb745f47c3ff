"""Public GPT-2 checkpoints: the logits of the layout's definition in plain numpy, and errors that name the tensor."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tiktoken_ext import openai_public

from tests.conftest import absent
from trainer import gpt2
from trainer.errors import DataError, RecipeError
from trainer.gpt import GPT, GPTConfig, parameter_count
from trainer.gpt2 import Gpt2Tokenizer, gpt2_config, gpt2_encoding, load_gpt2, save_gpt2
from trainer.lora import add_adapters
from trainer.tokenizer import byte_characters

Raw = dict[str, np.ndarray]
V, CONTEXT, LAYERS = 60, 24, 2


def raw_checkpoint(channels: int = 32) -> Raw:
    """Random tensors by the names and in the orientation of the original release, mask buffers included."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(scale=0.2, size=shape).astype(np.float32)

    raw = {"wte.weight": draw(V, channels), "wpe.weight": draw(CONTEXT, channels)}
    norms = ["ln_f", *(f"h.{i}.ln_{n}" for i in range(LAYERS) for n in (1, 2))]
    for name in norms:
        raw[f"{name}.weight"], raw[f"{name}.bias"] = 1 + draw(channels), draw(channels)
    for i in range(LAYERS):
        for name, wide, long in (
            ("attn.c_attn", 1, 3),
            ("attn.c_proj", 1, 1),
            ("mlp.c_fc", 1, 4),
            ("mlp.c_proj", 4, 1),
        ):
            raw[f"h.{i}.{name}.weight"] = draw(wide * channels, long * channels)
            raw[f"h.{i}.{name}.bias"] = draw(long * channels)
        raw[f"h.{i}.attn.bias"] = np.tril(np.ones((1, 1, CONTEXT, CONTEXT), np.float32))
        raw[f"h.{i}.attn.masked_bias"] = np.array(-1e4, np.float32)
    return raw


def write(folder: Path, raw: Raw, *, heads: int | None = 4, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(raw, folder / "model.safetensors")
    if heads is not None:
        sizes = {"vocab_size": V, "n_positions": CONTEXT, "n_layer": LAYERS, "n_head": heads, "n_embd": 32}
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", **sizes, **config}))
    return folder


def reference_logits(raw: Raw, ids: np.ndarray, heads: int) -> np.ndarray:
    """The forward pass as the original release defines it: (T,) -> (T, V), in double precision, a head at a time."""
    p = {name: value.astype(np.float64) for name, value in raw.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * p[f"{name}.weight"] + p[f"{name}.bias"]

    def convolve(x: np.ndarray, name: str) -> np.ndarray:
        return x @ p[f"{name}.weight"] + p[f"{name}.bias"]

    T = len(ids)
    x = p["wte.weight"][ids] + p["wpe.weight"][:T]
    for i in range(LAYERS):
        q, k, v = np.split(convolve(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn"), 3, axis=-1)
        mixed = []
        for qh, kh, vh in zip(*(np.split(part, heads, axis=-1) for part in (q, k, v)), strict=True):
            scores = qh @ kh.T / np.sqrt(kh.shape[-1])
            scores[np.triu_indices(T, 1)] = -np.inf
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            mixed.append(weights / weights.sum(-1, keepdims=True) @ vh)
        x = x + convolve(np.concatenate(mixed, -1), f"h.{i}.attn.c_proj")
        h = convolve(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
        x = x + convolve(h, f"h.{i}.mlp.c_proj")
    return norm(x, "ln_f") @ p["wte.weight"].T


IDS = np.random.default_rng(1).integers(0, V, 20)


@torch.no_grad()
def logits_of(model: GPT) -> np.ndarray:
    return model.eval().logits(torch.from_numpy(IDS)[None])[0].numpy()


@pytest.mark.parametrize(
    ("channels", "prefix", "tied_head", "heads"),
    [(32, "", False, 4), (32, "transformer.", True, 4), (128, "", False, None)],
    ids=["as on the hub", "prefixed, with lm_head", "sizes from shapes"],
)
def test_logits_are_those_of_the_definition(
    tmp_path: Path, channels: int, prefix: str, tied_head: bool, heads: int | None
) -> None:
    raw = raw_checkpoint(channels)
    stored = {f"{prefix}{name}": value for name, value in raw.items()}
    if tied_head:
        stored["lm_head.weight"] = raw["wte.weight"]
    model = load_gpt2(write(tmp_path, stored, heads=heads))
    assert np.abs(logits_of(model) - reference_logits(raw, IDS, heads or channels // 64)).max() < 1e-4
    assert model.classifier.weight.device.type == "cpu"


def test_half_precision_is_widened_and_positions_are_cut(tmp_path: Path) -> None:
    raw = {name: value.astype(np.float16) for name, value in raw_checkpoint().items()}
    model = load_gpt2(write(tmp_path, raw) / "model.safetensors", context=20, pooling="mean", dropout=0.1)
    assert model.config == GPTConfig(V, 20, LAYERS, 4, 32, dropout=0.1, pooling="mean")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert np.abs(logits_of(model) - reference_logits(raw, IDS, 4)).max() < 1e-4


def test_the_head_follows_from_the_seed(tmp_path: Path) -> None:
    folder = write(tmp_path, raw_checkpoint())
    first, same, other = (load_gpt2(folder, seed=seed).classifier.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_what_is_saved_is_what_was_loaded(tmp_path: Path) -> None:
    raw = raw_checkpoint()
    model = load_gpt2(write(tmp_path / "public", raw))
    assert save_gpt2(model, tmp_path / "ours", end=7) == tmp_path / "ours" / "model.safetensors"
    saved = load_file(tmp_path / "ours" / "model.safetensors")
    weights = {name for name in raw if not name.endswith((".attn.bias", "masked_bias"))}
    assert saved.keys() == weights
    assert all(np.array_equal(saved[name], raw[name]) for name in weights)
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["eos_token_id"] == 7
    again = load_gpt2(tmp_path / "ours")
    assert again.config == model.config
    assert np.array_equal(logits_of(again), logits_of(model))
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == ["config.json", "model.safetensors"]


def test_adapters_must_be_merged_before_saving(tmp_path: Path) -> None:
    model = GPT(GPTConfig(V, CONTEXT, LAYERS, 4, 32))
    add_adapters(model)
    with pytest.raises(RecipeError, match=r"blocks\.0\.attention\.qkv\.weight: merge"):
        save_gpt2(model, tmp_path)


def _without(raw: Raw) -> None:
    del raw["h.1.mlp.c_fc.bias"]


def _with(raw: Raw) -> None:
    raw["h.1.crossattention.weight"] = np.zeros(3, np.float32)


def _turned(raw: Raw) -> None:
    raw["h.0.attn.c_attn.weight"] = np.ascontiguousarray(raw["h.0.attn.c_attn.weight"].T)


def _untied(raw: Raw) -> None:
    raw["lm_head.weight"] = raw["wte.weight"] + 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without, r"model\.safetensors: tensor h\.1\.mlp\.c_fc\.bias is missing"),
        (_with, r"unexpected tensor h\.1\.crossattention\.weight"),
        (_turned, r"h\.0\.attn\.c_attn\.weight has shape \(96, 32\), expected \(32, 96\)"),
        (_untied, r"lm_head\.weight differs"),
    ],
)
def test_a_wrong_tensor_is_named(tmp_path: Path, spoil: Any, words: str) -> None:
    raw = raw_checkpoint()
    spoil(raw)
    with pytest.raises(RecipeError, match=words):
        load_gpt2(write(tmp_path, raw))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("n_layer", 3, r"h\.2\.ln_1\.weight is missing"),
        ("vocab_size", 61, r"wte\.weight has shape \(60, 32\), expected \(61, 32\)"),
        ("n_head", "many", "not a GPT-2 configuration"),
        ("n_head", 5, "multiple of heads"),
        ("activation_function", "relu", "activation_function is 'relu'"),
        ("scale_attn_by_inverse_layer_idx", True, "scale_attn_by_inverse_layer_idx is True"),
    ],
)
def test_another_architecture_is_refused(tmp_path: Path, key: str, value: object, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_gpt2(write(tmp_path, raw_checkpoint(), **{key: value}))


def test_what_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no model\.safetensors"):
        load_gpt2(tmp_path)
    for name, words in (("model.bin", "not a checkpoint"), ("model.safetensors", "not a readable safetensors")):
        (tmp_path / name).write_bytes(b"PK\x03\x04 pickled")
        with pytest.raises(RecipeError, match=words):
            load_gpt2(tmp_path / name)
    with pytest.raises(RecipeError, match="not a checkpoint; give a folder"):
        load_gpt2("no such thing")
    for context in (0, 25):
        with pytest.raises(RecipeError, match="has 24 positions"):
            load_gpt2(write(tmp_path, raw_checkpoint()), context=context)
    with pytest.raises(RecipeError, match="do not say how many heads"):
        (tmp_path / "config.json").unlink()
        load_gpt2(tmp_path)


def test_the_hub_is_asked_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = write(tmp_path, raw_checkpoint()), []

    def download(repository: str, name: str, **_: object) -> str:
        asked.append((repository, name))
        return str(folder / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert load_gpt2("124M").config.context == CONTEXT
    assert asked == [("openai-community/gpt2", "config.json"), ("openai-community/gpt2", "model.safetensors")]


def test_without_a_network_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repository: str, name: str, **_: object) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(
        RecipeError, match=r"ConnectionError.*huggingface\.co/openai-community/gpt2-xl/tree/main into a"
    ):
        load_gpt2("1.5B")


@pytest.mark.parametrize(
    ("size", "count"),
    [("124M", 124_439_808), ("355M", 354_823_168), ("774M", 774_030_080), ("1.5B", 1_557_611_200)],
)
def test_public_sizes_have_their_published_counts(size: str, count: int) -> None:
    config = gpt2_config(size)
    with torch.device("meta"):
        assert parameter_count(GPT(config)) == count + 2 * config.channels + 2  # our two-class head


def test_an_unknown_size_names_the_nearest() -> None:
    assert gpt2_config("124M", context=256, dropout=0.1).context == 256
    with pytest.raises(RecipeError, match="did you mean '124M'"):
        gpt2_config("124")


def tiny_bpe(folder: Path, encoder: str = "encoder.json", merges: str = "vocab.bpe") -> Path:
    """A BPE of 256 bytes and three merges, in GPT-2's files."""
    characters = list(byte_characters().values())
    pairs = [("h", "i"), ("Ġ", "["), ("Ġ[", "...]")]
    tokens = [*characters, *("".join(pair) for pair in pairs), "<|endoftext|>"]
    folder.mkdir(exist_ok=True)
    (folder / encoder).write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / merges).write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in pairs))
    return folder


@pytest.mark.parametrize("names", [("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")])
def test_bpe_files_are_read_by_both_their_names(tmp_path: Path, names: tuple[str, str]) -> None:
    encoding = gpt2_encoding(tiny_bpe(tmp_path, *names))
    assert encoding.n_vocab == 260
    assert encoding.encode_ordinary("hi!") == [256, 0]
    assert encoding.decode(list(range(94))) == "".join(map(chr, range(33, 127)))


def test_broken_bpe_files_are_named(tmp_path: Path) -> None:
    tiny_bpe(tmp_path)
    (tmp_path / "vocab.bpe").write_text("h i\n")
    with pytest.raises(DataError, match=r"encoder\.json and vocab\.bpe do not belong together"):
        gpt2_encoding(tmp_path)
    (tmp_path / "encoder.json").write_text("{")
    with pytest.raises(DataError, match="not a byte-level BPE"):
        gpt2_encoding(tmp_path)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No corpora with a BPE, and a machine that must not wait for a network."""
    monkeypatch.setenv("SPAMFILTER_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(gpt2, "_PATIENCE", 0.2)
    return tmp_path


def test_without_files_and_network_it_says_where_to_put_them(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> dict[str, Any]:
        raise ConnectionError

    monkeypatch.setattr(openai_public, "gpt2", refused)
    with pytest.raises(DataError, match=rf"put encoder\.json and vocab\.bpe .* into {nowhere}/gpt2-bpe"):
        gpt2_encoding()


def test_a_network_that_hangs_is_not_waited_for(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(openai_public, "gpt2", lambda: release.wait(60))
    try:
        with pytest.raises(DataError, match="could not be downloaded"):
            gpt2_encoding(nowhere)
    finally:
        release.set()


def test_what_tiktoken_has_is_used(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = {bytes([byte]): i for i, byte in enumerate(byte_characters())}
    monkeypatch.setattr(openai_public, "gpt2", lambda: {"mergeable_ranks": ranks})
    assert gpt2_encoding().encode_ordinary("!") == [0]


@pytest.fixture(scope="module")
def tokenizer(corpus_dir: Path) -> Gpt2Tokenizer:
    folder = corpus_dir / "gpt2-bpe"
    if not (folder / "vocab.bpe").is_file():
        absent(f"no vocab.bpe in {folder}", "SPAMFILTER_REQUIRE_CORPUS")
    return Gpt2Tokenizer.load(folder)


@pytest.mark.corpus
def test_known_texts_have_their_known_ids(tokenizer: Gpt2Tokenizer) -> None:
    assert tokenizer.encode("Hello world") == [15496, 995]
    assert tokenizer.encode("Every effort moves you") == [6109, 3626, 6100, 345]
    assert (tokenizer.end, tokenizer.vocab_size) == (50256, 50257)
    assert tokenizer.encoding.encode("<|endoftext|>", allowed_special="all") == [50256]
    lookalike = tokenizer.encode("<|endoftext|>")
    assert 50256 not in lookalike
    assert tokenizer.decode(lookalike) == "<|endoftext|>"


@pytest.mark.corpus
def test_windows_end_and_show_where_they_were_cut(tokenizer: Gpt2Tokenizer) -> None:
    assert tokenizer.window("Hello world", "", 16).tolist() == [15496, 995, 50256]
    cut = tokenizer.window("Hello world " * 50, "and so it ends", 20).tolist()
    assert len(cut) == 20
    assert tokenizer.decode(cut).endswith(" [...]and so it ends<|endoftext|>")
