"""The network: causal, independent of padding, with the loss it says it has."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.trainer.tiny import tiny_model
from trainer.errors import RecipeError
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


def pooled_by(pooling: str) -> GPT:
    """The same weights, pooled otherwise."""
    model = GPT(dataclasses.replace(tiny_model(100).config, pooling=pooling))
    model.load_state_dict(tiny_model(100).state_dict())
    return model.eval()


@pytest.mark.parametrize("padding", [0, 1, 27])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_padding_does_not_change_the_verdict(pooling: str, padding: int) -> None:
    model = pooled_by(pooling)
    ids = torch.randint(0, 100, (1, 20))
    padded = torch.cat([ids, torch.full((1, padding), 99)], 1)
    alone = model.classify(ids, torch.tensor([20]))
    assert torch.allclose(alone, model.classify(padded, torch.tensor([20])), atol=1e-5)


def test_padded_pooling_depends_on_the_padding() -> None:
    model, lengths = pooled_by("last-padded"), torch.tensor([20])
    ids = torch.randint(0, 100, (1, 20))
    padded = torch.cat([ids, torch.full((1, 27), 99)], 1)
    assert torch.equal(model.pooled(ids, lengths), pooled_by("last").pooled(ids, lengths))
    assert torch.equal(model.pooled(padded, lengths), model.hidden(padded)[:, -1])
    assert not torch.allclose(model.classify(ids, lengths), model.classify(padded, lengths), atol=1e-2)


def test_the_mean_is_over_real_tokens() -> None:
    model, ids = pooled_by("mean"), torch.randint(0, 100, (3, 20))
    lengths = torch.tensor([20, 1, 7])
    pooled, states = model.pooled(ids, lengths), model.hidden(ids)
    for row, length in enumerate(lengths):
        assert torch.allclose(pooled[row], states[row, :length].mean(0), atol=1e-6)


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
    with pytest.raises(RecipeError, match="multiple of heads"):
        GPTConfig(channels=10, heads=4)


def test_unknown_pooling_names_the_choices() -> None:
    with pytest.raises(RecipeError, match="'first': choose one of last, last-padded, mean"):
        GPTConfig(pooling="first")


def test_a_new_head_follows_from_its_seed() -> None:
    model, other = tiny_model(100), tiny_model(100, seed=9)
    for network in (model, other):
        network.reset_head(4)
    assert torch.equal(model.classifier.weight, other.classifier.weight)
    assert not model.classifier.bias.any()
    assert 0.01 < model.classifier.weight.std() < 0.03


def test_generation_goes_on_past_the_context(model: GPT) -> None:
    torch.manual_seed(1)
    assert model.generate(torch.tensor([[1, 2]]), 60).shape == (1, 62)


def test_generation_stops_after_the_stop_token(model: GPT) -> None:
    prompt = torch.tensor([[1, 2]])
    greedy = model.generate(prompt, 30, temperature=0)
    assert torch.equal(greedy, model.generate(prompt, 30, temperature=0.7, top_k=1))
    assert torch.equal(greedy, model.generate(prompt, 30, temperature=1e-9, top_k=None))
    stop = int(greedy[0, 9])
    first = 2 + greedy[0, 2:].tolist().index(stop)
    assert torch.equal(model.generate(prompt, 30, temperature=0, stop=stop), greedy[:, : first + 1])


def test_generation_draws_from_the_likeliest(model: GPT) -> None:
    torch.manual_seed(1)
    prompt = torch.tensor([[5, 9, 3]])
    likeliest = set(model.logits(prompt)[0, -1].topk(3).indices.tolist())
    drawn = {int(model.generate(prompt, 1, temperature=50.0, top_k=3)[0, -1]) for _ in range(40)}
    assert drawn == likeliest


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -0.5}, "temperature is -0.5"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_k": 0}, "top_k is 0"),
    ],
)
def test_generation_refuses_what_means_nothing(model: GPT, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        model.generate(torch.tensor([[1]]), 1, **settings)
