"""Strategies of fine-tuning: each trains exactly the parameters it promises, and learns."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.trainer.tiny import tiny_model
from trainer.errors import RecipeError
from trainer.gpt import GPT, GPTConfig
from trainer.gpt2 import gpt2_config
from trainer.lora import LoraLinear
from trainer.strategies import STRATEGIES, Counts, count, finish, prepare

needs_nf4 = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
ALL = [pytest.param(name, marks=needs_nf4) if name == "qlora" else name for name in STRATEGIES]
WHOLE = 124_439_808 + 1_538
PROMISED = {  # GPT-2 124M
    "head": Counts(1_538, WHOLE),
    "last-block": Counts(7_087_872 + 1_536 + 1_538, WHOLE),
    "last-n": Counts(3 * 7_087_872 + 1_536 + 1_538, WHOLE),
    # rank 8 beside (768, 2304), (768, 768), (768, 3072) and (3072, 768) in 12 blocks
    "lora": Counts(12 * 8 * (3072 + 1536 + 2 * 3840) + 1_538, WHOLE + 12 * 8 * (3072 + 1536 + 2 * 3840)),
    "full": Counts(WHOLE, WHOLE),
}


@pytest.mark.parametrize("strategy", PROMISED)
def test_gpt2_trains_exactly_what_is_promised(strategy: str) -> None:
    with torch.device("meta"):
        model = GPT(gpt2_config("124M"))
    assert prepare(model, strategy, last=3, rank=8) == PROMISED[strategy]


@needs_nf4
def test_four_bit_weights_are_counted() -> None:
    plain, packed = tiny_model(100), tiny_model(100)
    assert prepare(packed, "qlora") == prepare(plain, "lora")


def test_counts_are_shown_for_people() -> None:
    assert str(PROMISED["last-block"]) == "7,090,946 of 124,441,346 parameters are trained (5.7 %)"


def batch(model: GPT) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(0, model.config.vocab_size, (12, 20), generator=generator)
    return ids, torch.randint(5, 21, (12,), generator=generator), torch.arange(12) % 2


def learn(model: GPT, steps: int) -> list[float]:
    """Losses of a few steps on one batch, with the parameters that an optimizer is given."""
    ids, lengths, spam = batch(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model.train().classify(ids, lengths), spam)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("strategy", ALL)
def test_what_is_frozen_stays_to_the_bit_and_the_rest_learns(strategy: str) -> None:
    model = tiny_model(100)
    counts = prepare(model, strategy, last=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert counts.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)
    losses = learn(model, 40)
    assert losses[-1] < losses[0] - 0.1
    assert all(torch.isfinite(torch.tensor(losses)))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == (name not in trained), name


@pytest.mark.parametrize("strategy", ALL)
def test_finishing_gives_a_plain_network_that_judges_the_same(strategy: str) -> None:
    model = tiny_model(100)
    prepare(model, strategy, last=1)
    learn(model, 3)
    ids, lengths, _ = batch(model)
    before = model.eval().classify(ids, lengths)
    finish(model)
    plain = tiny_model(100)
    assert list(model.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(model.state_dict())
    assert torch.allclose(plain.classify(ids, lengths), before, atol=1e-5)
    assert count(model) == count(plain)
    assert model.frozen_blocks == 0


@pytest.mark.parametrize("strategy", ["head", "last-block", "last-n"])
def test_running_frozen_blocks_without_a_graph_changes_nothing(strategy: str) -> None:
    model = GPT(GPTConfig(100, context=48, layers=3, heads=2, channels=32))
    prepare(model, strategy, last=2)
    assert model.frozen_blocks == {"head": 3, "last-block": 2, "last-n": 1}[strategy]
    ids, lengths, spam = batch(model)
    outcomes = []
    for blocks in (model.frozen_blocks, 0):
        model.frozen_blocks = blocks
        model.zero_grad()
        logits = model.classify(ids, lengths)
        F.cross_entropy(logits, spam).backward()
        outcomes.append((logits, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}))
    (fast, fast_gradients), (slow, slow_gradients) = outcomes
    assert torch.equal(fast, slow)
    assert fast_gradients.keys() == slow_gradients.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    assert all(torch.equal(fast_gradients[name], slow_gradients[name]) for name in fast_gradients)


def test_the_head_is_drawn_anew_or_kept() -> None:
    first, second, kept = tiny_model(100), tiny_model(100, seed=7), tiny_model(100)
    old = kept.classifier.weight.clone()
    prepare(first, "full", seed=3)
    prepare(second, "head", seed=3)
    prepare(kept, "last-block", new_head=False)
    assert torch.equal(first.classifier.weight, second.classifier.weight)
    assert torch.equal(kept.classifier.weight, old)


def test_adapter_settings_arrive() -> None:
    model = tiny_model(100)
    prepare(model, "lora", rank=2, alpha=6.0, targets=["down"], dropout=0.25)
    parts = [part for part in model.modules() if isinstance(part, LoraLinear)]
    assert [(part.a.shape[0], part.scale, part.drop.p) for part in parts] == [(2, 3.0, 0.25)] * 2


def test_wrong_settings_name_what_would_do() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown strategy 'last_block'; did you mean 'last-block'\? There are probe, head, "
    ):
        prepare(tiny_model(100), "last_block")
    with pytest.raises(RecipeError, match="last is 3: the model has 2 blocks"):
        prepare(tiny_model(100), "last-n", last=3)
