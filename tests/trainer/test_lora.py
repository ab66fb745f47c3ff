"""Adapters: nothing at first, little to keep, and merged into exactly the plain network."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.trainer.tiny import tiny_model
from trainer.errors import RecipeError
from trainer.gpt import GPT, GPTConfig
from trainer.lora import (
    LoraLinear,
    Nf4Linear,
    _nf4,
    adapter_state,
    add_adapters,
    load_adapters,
    merge,
    save_adapters,
)  # fmt: skip

needs_nf4 = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
BOTH = [False, pytest.param(True, marks=needs_nf4)]
IDS, LENGTHS = torch.arange(60).reshape(3, 20) % 100, torch.tensor([20, 7, 13])


def adapted(*, quantise: bool = False, **changes: object) -> GPT:
    """A tiny network whose adapters have something to say."""
    model = tiny_model(100)
    add_adapters(model, rank=4, quantise=quantise, **changes)  # type: ignore[arg-type]
    torch.manual_seed(1)
    for part in model.modules():
        if isinstance(part, LoraLinear):
            torch.nn.init.normal_(part.b, std=0.1)
    return model.eval()


def judged(model: GPT) -> Tensor:
    return model.classify(IDS, LENGTHS).detach()


def test_new_adapters_change_nothing() -> None:
    model = tiny_model(100)
    before = judged(model)
    assert add_adapters(model) == 8
    assert torch.equal(judged(model), before)


def test_adapters_follow_from_the_seed() -> None:
    first, same, other = (adapter_state(adapted(seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["blocks.0.up.a"], other["blocks.0.up.a"])


def test_merging_gives_the_plain_network() -> None:
    model, plain = adapted(), tiny_model(100)
    before = judged(model)
    assert not torch.allclose(before, judged(plain), atol=1e-3)
    merge(model)
    assert torch.allclose(judged(model), before, atol=1e-5)
    assert list(model.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(model.state_dict())
    assert torch.equal(judged(plain), judged(model))


@needs_nf4
def test_merging_restores_what_the_four_bits_stood_for() -> None:
    model = adapted(quantise=True)
    wanted = {}
    for name, part in model.named_modules():
        if isinstance(part, LoraLinear):
            assert isinstance(part.base, Nf4Linear)
            dequantised = part.base.packed.to(torch.float32)
            wanted[f"{name}.weight"] = (dequantised + part.scale * (part.b @ part.a)).detach()
    before = judged(model)
    merge(model)
    state = model.state_dict()
    assert list(state) == list(tiny_model(100).state_dict())
    assert len(wanted) == 8
    assert all(torch.equal(state[name], weight) for name, weight in wanted.items())
    assert torch.allclose(judged(model), before, atol=1e-5)


@needs_nf4
def test_four_bits_are_near_the_weights_and_small() -> None:
    weight = torch.randn(1600, 64) * 0.02
    packed = _nf4(weight)
    assert (packed.to(torch.float32) - weight).abs().mean() < 0.1 * weight.abs().mean()
    assert packed.quantized_data.numel() == weight.numel() // 2
    model = adapted(quantise=True)
    assert not any(name.endswith("base.weight") for name in model.state_dict())
    with pytest.raises(RecipeError, match=r"\(3, 5\) cannot be packed"):
        _nf4(torch.zeros(3, 5))


@needs_nf4
@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_pass_through_four_bit_layers_as_through_what_they_stand_for(autocast: bool) -> None:
    model, exact = adapted(quantise=True), adapted()
    sources = {name: part for name, part in model.named_modules() if isinstance(part, LoraLinear)}
    for name, part in sources.items():
        twin = exact.get_submodule(name)
        assert isinstance(twin, LoraLinear)
        assert isinstance(part.base, Nf4Linear)
        twin.base = part.base.dequantised()
    for network in (model, exact):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = network.classify(IDS, LENGTHS).float().logsumexp(1).sum()
        loss.backward()
    for name, part in sources.items():
        twin = exact.get_submodule(name)
        assert isinstance(twin, LoraLinear)
        assert part.a.grad is not None
        assert twin.a.grad is not None
        difference = (part.a.grad - twin.a.grad).norm() / twin.a.grad.norm()
        assert difference < (0.03 if autocast else 1e-5), name


@pytest.mark.parametrize("quantise", BOTH)
def test_adapters_are_kept_in_a_small_file(tmp_path: Path, quantise: bool) -> None:
    model = adapted(quantise=quantise, targets=("qkv", "up"), alpha=3.0)
    assert sorted(adapter_state(model))[:3] == ["blocks.0.attention.qkv.a", "blocks.0.attention.qkv.b", "blocks.0.up.a"]
    file = tmp_path / "adapters.safetensors"
    save_adapters(model, file)
    assert [path.name for path in tmp_path.iterdir()] == ["adapters.safetensors"]
    learnt = sum(tensor.numel() for tensor in adapter_state(model).values())
    assert file.stat().st_size < 4 * learnt + 2000
    again = load_adapters(tiny_model(100), file).eval()
    assert torch.equal(judged(again), judged(model))


def test_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "adapters.safetensors"
    save_adapters(adapted(), file)
    deeper = GPT(GPTConfig(100, context=48, layers=3, heads=2, channels=32))
    with pytest.raises(RecipeError, match=r"blocks\.2\.attention\.out\.a does not fit"):
        load_adapters(deeper, file)
    file.write_bytes(b"nothing")
    with pytest.raises(RecipeError, match="not a file of adapters"):
        load_adapters(tiny_model(100), file)
    with pytest.raises(RecipeError, match="no adapters to save"):
        save_adapters(tiny_model(100), file)


def test_wrong_settings_are_refused() -> None:
    model = tiny_model(100)
    with pytest.raises(RecipeError, match=r"unknown target 'qvk'.*did you mean 'qkv'\? There are down, out, qkv, up"):
        add_adapters(model, targets=("qvk",))
    with pytest.raises(RecipeError, match="adapters of rank 0"):
        add_adapters(model, rank=0)
    add_adapters(model)
    with pytest.raises(RecipeError, match="has adapters already"):
        add_adapters(model)


def test_without_the_library_four_bits_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(RecipeError, match="pip install"):
        add_adapters(tiny_model(100), quantise=True)


def test_dropout_acts_on_the_adapter_in_training_only() -> None:
    model = adapted(dropout=0.5)
    assert torch.equal(judged(model), judged(model))
    model.train()
    assert not torch.equal(judged(model), judged(model))
