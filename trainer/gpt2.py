"""Public GPT-2 checkpoints (124M, 355M, 774M, 1.5B) and GPT-2's BPE, read into, and written from, our own network.

The layout is the model hub's: safetensors with the names of the original release (Radford et al. 2019), whose
block matrices are stored (in, out), transposed against `nn.Linear`; the vocabulary head is tied to `wte.weight`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tiktoken
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tiktoken_ext import openai_public
from torch import nn

from spamfilter.classifier.tokenizer import Tokenizer
from trainer.data.corpora import data_dir
from trainer.errors import DataError, RecipeError
from trainer.gpt import GPT, GPTConfig
from trainer.tokenizer import byte_characters

SIZES = {  # hub id, layers, heads, channels
    "124M": ("openai-community/gpt2", 12, 12, 768),
    "355M": ("openai-community/gpt2-medium", 24, 16, 1024),
    "774M": ("openai-community/gpt2-large", 36, 20, 1280),
    "1.5B": ("openai-community/gpt2-xl", 48, 25, 1600),
}
END = "<|endoftext|>"
_TOP = {"wte": "tokens", "wpe": "positions", "ln_f": "norm"}
_BLOCK = {
    "ln_1": "norm1", "attn.c_attn": "attention.qkv", "attn.c_proj": "attention.out",
    "ln_2": "norm2", "mlp.c_fc": "up", "mlp.c_proj": "down",
}  # fmt: skip
_MASKS = re.compile(r"h\.\d+\.attn\.(masked_)?bias")  # buffers of the causal mask, not weights
_FILES = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
_PATIENCE = 20.0  # seconds for tiktoken's own download, which sets itself no limit


def gpt2_config(size: str, **changes: Any) -> GPTConfig:
    """The sizes of a public checkpoint by its short name (`124M`), other fields by `changes`. Raises RecipeError."""
    if size not in SIZES:
        near = difflib.get_close_matches(size, SIZES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise RecipeError(f"unknown size of GPT-2 {size!r}{hint} There are {', '.join(SIZES)}")
    _, layers, heads, channels = SIZES[size]
    return GPTConfig(
        **{**dict(vocab_size=50257, context=1024, layers=layers, heads=heads, channels=channels), **changes}
    )


def load_gpt2(
    source: str | Path, *, context: int | None = None, dropout: float = 0.0, pooling: str = "last", seed: int = 123
) -> GPT:
    """A GPT with a public checkpoint's weights in fp32, and a new two-class head drawn from `seed`.

    `source` is a folder with `model.safetensors` (and `config.json`), such a file, a short name of SIZES, or a hub id.
    `context` keeps only the first positions. Tensors are read one by one, so that 1.5B needs little more than its own
    6.2 GB. Raises RecipeError with the file, or the tensor in it, that is missing or wrong.
    """
    path = _checkpoint(source)
    try:
        with safe_open(path, "pt") as stored:
            return _read(stored, path, context, {"dropout": dropout, "pooling": pooling}, seed)
    except (SafetensorError, OSError) as error:
        raise RecipeError(f"{path}: not a readable safetensors file ({error}); download it again") from None


def save_gpt2(model: GPT, folder: Path, *, end: int | None = None) -> Path:
    """Write the body (not the two-class head) as `model.safetensors` and `config.json`, for any tool that reads GPT-2.

    `end` is the id that closes a text. Raises RecipeError for a model whose adapters are not merged.
    """
    config, weights = model.config, model.state_dict()
    tensors = {}
    for theirs, ours, transposed in _names(config.layers):
        if ours not in weights:
            raise RecipeError(f"the model has no {ours}: merge its adapters (`strategies.finish`) before it is saved")
        tensor = weights[ours].detach().cpu()
        tensors[theirs] = (tensor.t() if transposed else tensor).contiguous()
    described = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new",
        "vocab_size": config.vocab_size, "n_positions": config.context, "n_ctx": config.context,
        "n_layer": config.layers, "n_head": config.heads, "n_embd": config.channels, "layer_norm_epsilon": 1e-5,
        "attn_pdrop": config.dropout, "embd_pdrop": config.dropout, "resid_pdrop": config.dropout,
        "tie_word_embeddings": True, "bos_token_id": end, "eos_token_id": end,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    fresh = folder / ".model.safetensors.new"
    save_file(tensors, fresh, metadata={"format": "pt"})
    return fresh.replace(folder / "model.safetensors")


def _names(layers: int) -> Iterator[tuple[str, str, bool]]:
    """(name in the checkpoint, name in our network, whether it is stored transposed) of every tensor."""
    for theirs, ours in _TOP.items():
        yield f"{theirs}.weight", f"{ours}.weight", False
    yield "ln_f.bias", "norm.bias", False
    for layer in range(layers):
        for theirs, ours in _BLOCK.items():
            yield f"h.{layer}.{theirs}.weight", f"blocks.{layer}.{ours}.weight", ".c_" in theirs
            yield f"h.{layer}.{theirs}.bias", f"blocks.{layer}.{ours}.bias", False


def _read(stored: Any, path: Path, context: int | None, changes: dict[str, Any], seed: int) -> GPT:
    keys = {key.removeprefix("transformer."): key for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    shapes = {name: tuple(stored.get_slice(key).get_shape()) for name, key in keys.items()}
    config = _sizes(shapes, path)
    if context is not None and not 1 <= context <= config.context:
        raise RecipeError(f"context is {context}: {path} has {config.context} positions, choose that or fewer")
    with torch.device("meta"):
        model = GPT(dataclasses.replace(config, **changes, context=context or config.context))
        whole = GPT(config).state_dict()
    names = list(_names(config.layers))
    spare = keys.keys() - {theirs for theirs, _, _ in names} - {"lm_head.weight"}
    if unexpected := sorted(name for name in spare if not _MASKS.fullmatch(name)):
        raise RecipeError(f"{path}: unexpected tensor {keys[unexpected[0]]}; is this a plain GPT-2 checkpoint?")
    for theirs, ours, transposed in names:
        wanted = tuple(reversed(whole[ours].shape)) if transposed else tuple(whole[ours].shape)
        if shapes.get(theirs) != wanted:
            found = f"has shape {shapes[theirs]}, expected {wanted}" if theirs in shapes else "is missing"
            raise RecipeError(f"{path}: tensor {theirs} {found}; download the checkpoint again, with its config.json")
        tensor = stored.get_tensor(keys[theirs])
        tensor = tensor.t() if transposed else tensor[: model.config.context] if theirs == "wpe.weight" else tensor
        owner, _, leaf = ours.rpartition(".")
        copied = torch.empty(tensor.shape, dtype=torch.float32).copy_(tensor)
        setattr(model.get_submodule(owner), leaf, nn.Parameter(copied))
    if "lm_head.weight" in keys and not torch.equal(
        stored.get_tensor(keys["lm_head.weight"]), stored.get_tensor(keys["wte.weight"])
    ):
        raise RecipeError(f"{path}: lm_head.weight differs from wte.weight; this network ties the two")
    model.classifier.to_empty(device="cpu")
    model.reset_head(seed)
    return model


def _sizes(shapes: dict[str, tuple[int, ...]], path: Path) -> GPTConfig:
    """From `config.json` beside the checkpoint, else from the shapes, at the public sizes' 64 channels a head."""
    described = path.with_name("config.json")
    if described.exists():
        try:
            said = json.loads(described.read_text("utf-8"))
            sizes = [said[key] for key in ("vocab_size", "n_positions", "n_layer", "n_head", "n_embd")]
            if any(type(size) is not int or size < 1 for size in sizes):
                raise ValueError(f"sizes {sizes}")
        except (ValueError, KeyError, TypeError) as error:
            raise RecipeError(f"{described}: not a GPT-2 configuration ({error!r}); download it again") from None
        fixed = {
            "model_type": ("gpt2",), "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
            "layer_norm_epsilon": (1e-5,), "n_inner": (None, 4 * sizes[4]), "scale_attn_weights": (True,),
            "scale_attn_by_inverse_layer_idx": (False,),
        }  # fmt: skip
        for key, allowed in fixed.items():
            if said.get(key, allowed[0]) not in allowed:
                raise RecipeError(f"{described}: {key} is {said[key]!r}; this network has only {allowed[0]!r}")
        return GPTConfig(*sizes)
    for needed in ("wte.weight", "wpe.weight"):
        if len(shapes.get(needed, ())) != 2:
            raise RecipeError(f"{path}: no matrix {needed}; is this a GPT-2 checkpoint?")
    (vocab_size, channels), (positions, _) = shapes["wte.weight"], shapes["wpe.weight"]
    if channels % 64:
        raise RecipeError(f"{path}: {channels} channels do not say how many heads; put its config.json beside it")
    layers = {int(name.split(".")[1]) for name in shapes if re.match(r"h\.\d+\.", name)}
    return GPTConfig(vocab_size, positions, max(layers, default=-1) + 1, channels // 64, channels)


def _checkpoint(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if path.is_file() and path.suffix == ".safetensors":
        return path
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if len(files) == 1 or path / "model.safetensors" in files:
            return files[0] if len(files) == 1 else path / "model.safetensors"
        raise RecipeError(f"{path}: no model.safetensors in this folder; download it from the model's page on the hub")
    repository = SIZES[str(source)][0] if str(source) in SIZES else str(source)
    if path.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise RecipeError(
            f"{source}: not a checkpoint; give a folder with model.safetensors, such a file, a hub id such as "
            f"openai-community/gpt2, or one of {', '.join(SIZES)}"
        )
    try:
        from huggingface_hub import hf_hub_download

        hf_hub_download(repository, "config.json", etag_timeout=5)
        return Path(hf_hub_download(repository, "model.safetensors", etag_timeout=5))
    except Exception as error:  # whatever fails on the way, the way out is the same
        raise RecipeError(
            f"{repository} cannot be had from the hub ({type(error).__name__}): download config.json and "
            f"model.safetensors from https://huggingface.co/{repository}/tree/main into a folder, and give that folder"
        ) from None


def gpt2_encoding(folder: Path | None = None) -> tiktoken.Encoding:
    """GPT-2's BPE: 50,256 merges and bytes, and `<|endoftext|>`.

    Read from `encoder.json` and `vocab.bpe` (or `vocab.json` and `merges.txt`) in `folder` or in the corpora's folder
    `gpt2-bpe`, else from tiktoken's cache, else downloaded by tiktoken. Raises DataError: which files to put where.
    """
    try:
        places = [folder, data_dir() / "gpt2-bpe"]
    except DataError:
        places = [folder]
    for place in places:
        for names in _FILES:
            if place is not None and all((place / name).is_file() for name in names):
                return _encoding(_ranks(place / names[0], place / names[1]))
    parts: list[dict[str, Any]] = []

    def fetch() -> None:
        try:
            parts.append(openai_public.gpt2())
        except Exception:  # the error below says what to do, whatever it was
            return

    worker = threading.Thread(target=fetch, daemon=True)
    worker.start()
    worker.join(_PATIENCE)
    if not parts:
        where = next((place for place in reversed(places) if place is not None), "a folder, and give that folder")
        raise DataError(
            "GPT-2's BPE is not on this machine and could not be downloaded: put encoder.json and vocab.bpe from "
            f"https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/ into {where}"
        )
    return _encoding(parts[0]["mergeable_ranks"])


def _encoding(ranks: dict[bytes, int]) -> tiktoken.Encoding:
    pattern = openai_public.r50k_pat_str
    return tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={END: len(ranks)})


def _ranks(encoder: Path, merges: Path) -> dict[bytes, int]:
    """Token bytes -> id: the 256 bytes, then the merges in order, which must be what the encoder file says."""
    to_byte = {character: byte for byte, character in byte_characters().items()}
    try:
        said = json.loads(encoder.read_text("utf-8"))
        lines = [line for line in merges.read_text("utf-8").splitlines() if line and not line.startswith("#version")]
        tokens = [*to_byte, *("".join(line.split()) for line in lines)]
        ranks = {bytes(to_byte[character] for character in token): rank for rank, token in enumerate(tokens)}
    except (ValueError, KeyError) as error:
        raise DataError(f"{encoder} and {merges.name}: not a byte-level BPE ({error!r}); download both again") from None
    if {token: rank for rank, token in enumerate(tokens)} | {END: len(tokens)} != said:
        raise DataError(f"{encoder} and {merges.name} do not belong together; download both again")
    return ranks


class Gpt2Tokenizer(Tokenizer):
    """GPT-2's BPE with the surface of our own: `<|endoftext|>` closes a text, `[...]` stands where it was cut."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self.encoding = encoding
        self.end, self.vocab_size = encoding.eot_token, encoding.n_vocab
        # GPT-2 has no second special token; this one it has read where texts were shortened
        self.tail = encoding.encode_single_token(" [...]")

    @classmethod
    def load(cls, path: Path | None = None) -> Gpt2Tokenizer:
        """From a folder, or wherever `gpt2_encoding` finds it."""
        return cls(gpt2_encoding(path))
