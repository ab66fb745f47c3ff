"""The network: causal, independent of padding, with the loss it says it has."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.trainer.tiny import tiny_model
from trainer.gpt import GPT, GPTConfig, parameter_count


@pytest.fixture(scope="module")
def model() -> GPT:
    return tiny_model(100)


def test_later_tokens_do_not_reach_earlier_ones(model: GPT) -> None:
    ids = torch.randint(0, 100, (1, 20))
    changed = ids.clone()
    changed[0, 12:] = (changed[0, 12:] + 1) % 100
    first, second = model.hidden(ids), model.hidden(changed)
    assert torch.allclose(first[:, :12], second[:, :12], atol=1e-6)
    assert not torch.allclose(first[:, 12:], second[:, 12:], atol=1e-3)


@pytest.mark.parametrize("padding", [0, 1, 27])
def test_padding_does_not_change_the_verdict(model: GPT, padding: int) -> None:
    ids = torch.randint(0, 100, (1, 20))
    padded = torch.cat([ids, torch.full((1, padding), 99)], 1)
    alone = model.classify(ids, torch.tensor([20]))
    assert torch.allclose(alone, model.classify(padded, torch.tensor([20])), atol=1e-5)


def test_the_chunked_loss_is_the_plain_loss(model: GPT) -> None:
    ids, targets = torch.randint(0, 100, (3, 16)), torch.randint(0, 100, (3, 16))
    targets[0, :4] = -100
    plain = F.cross_entropy(model.logits(ids).reshape(-1, 100), targets.reshape(-1), ignore_index=-100)
    assert torch.allclose(model.next_token_loss(ids, targets, chunk=7), plain, atol=1e-5)


def test_parameters_are_counted() -> None:
    model = GPT(GPTConfig(vocab_size=10, context=4, layers=1, heads=1, channels=8))
    blocks = 12 * 8 * 8 + (3 + 1 + 4 + 1) * 8 + 4 * 8  # matrices, biases, two norms
    assert parameter_count(model) == 10 * 8 + 4 * 8 + blocks + 2 * 8 + (8 * 2 + 2)
    model.tokens.weight.requires_grad_(False)
    assert parameter_count(model) - parameter_count(model, trained_only=True) == 80


def test_channels_must_divide() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        GPTConfig(channels=10, heads=4)


def test_generation_goes_on_past_the_context(model: GPT) -> None:
    torch.manual_seed(1)
    assert model.generate(torch.tensor([[1, 2]]), 60).shape == (1, 62)
