"""The network: a GPT-2 shaped transformer in one file, with a next-token head and a two-class head.

Layout as GPT-2's (Radford et al. 2019): learned positions, LayerNorm before each sublayer, GELU (tanh), weights of the
vocabulary head tied to the embedding, so that public checkpoints of that layout fit. Shapes: B messages, T tokens,
C channels, nh heads, hs = C / nh, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.errors import RecipeError
from trainer.losses import vocabulary_loss

POOLINGS = ("last", "last-padded", "mean")


@dataclass(frozen=True, slots=True)
class GPTConfig:
    """Sizes. `context` is the most tokens that are read at once; `pooling` is what `classify` looks at.

    Raises RecipeError when they do not fit together.
    """

    vocab_size: int = 8192
    context: int = 256
    layers: int = 4
    heads: int = 4
    channels: int = 256
    dropout: float = 0.0
    classes: int = 2
    pooling: str = "last"

    def __post_init__(self) -> None:
        if self.channels % self.heads:
            raise RecipeError(f"channels ({self.channels}) must be a multiple of heads ({self.heads})")
        if self.pooling not in POOLINGS:
            raise RecipeError(f"unknown pooling {self.pooling!r}: choose one of {', '.join(POOLINGS)}")


class Attention(nn.Module):
    """Causal self-attention over all earlier tokens."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.qkv = nn.Linear(config.channels, 3 * config.channels)
        self.out = nn.Linear(config.channels, config.channels)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.heads, C // self.heads).transpose(1, 2) for part in self.qkv(x).split(C, 2))
        y = F.scaled_dot_product_attention(  # (B, nh, T, hs)
            q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out(y.transpose(1, 2).reshape(B, T, C))


class Block(nn.Module):
    """Attention, then a feed-forward network four times as wide, each added to what came in."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.channels)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.channels)
        self.up = nn.Linear(config.channels, 4 * config.channels)
        self.down = nn.Linear(4 * config.channels, config.channels)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x)))
        return x + self.drop(self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")))


class GPT(nn.Module):
    """The body with both heads. `hidden` is shared; `next_token_loss` pretrains, `classify` judges.

    `frozen_blocks` says how many of the lowest blocks, with the embeddings, learn nothing: they run without a graph,
    so that their activations are neither kept nor walked back through.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.frozen_blocks = 0
        self.tokens = nn.Embedding(config.vocab_size, config.channels)
        self.positions = nn.Embedding(config.context, config.channels)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.channels)
        self.classifier = nn.Linear(config.channels, config.classes)
        self.apply(self._initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):  # GPT-2: residual paths scaled by depth
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config.layers))

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def reset_head(self, seed: int) -> None:
        """A new random two-class head that follows from `seed` alone, on whatever device the model is."""
        weight = torch.empty(self.classifier.weight.shape)
        weight.normal_(std=0.02, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            self.classifier.weight.copy_(weight)
            self.classifier.bias.zero_()

    def hidden(self, ids: Tensor) -> Tensor:
        """(B, T) token ids -> (B, T, C) final, normalised states. T must not exceed the context."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_blocks):
            x = self.drop(self.tokens(ids) + self.positions.weight[: ids.shape[1]])
            for block in self.blocks[: self.frozen_blocks]:
                x = block(x)
        for block in self.blocks[self.frozen_blocks :]:
            x = block(x)
        return self.norm(x)

    def logits(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V) next-token logits."""
        return F.linear(self.hidden(ids), self.tokens.weight)

    def next_token_loss(self, ids: Tensor, targets: Tensor, *, chunk: int = 4096) -> Tensor:
        """Mean cross-entropy () over targets that are not `losses.IGNORE`, `chunk` tokens at a time."""
        states = self.hidden(ids).reshape(-1, self.config.channels)
        return vocabulary_loss(states, self.tokens.weight, targets.reshape(-1), chunk=chunk)

    def pool(self, states: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C) states of rows padded on the right, (B,) lengths -> (B, C): as one, by `config.pooling`.

        `last`: the state of the last real token. `mean`: the mean over real tokens. Attention is causal, so what
        stands after a token cannot reach it, and neither depends on padding. `last-padded`: the state at the last
        place of the padded row, as in the book's workflow (Raschka 2024, chapter 6); the same message padded
        otherwise is judged otherwise, so rows must always be padded to one length.
        """
        if self.config.pooling == "last-padded":
            return states[:, -1]
        if self.config.pooling == "mean":
            real = torch.arange(states.shape[1], device=states.device) < lengths[:, None]  # (B, T)
            return (states * real[..., None]).sum(1) / lengths[:, None]
        return states[torch.arange(len(states), device=states.device), lengths - 1]

    def pooled(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) ids padded on the right, (B,) lengths -> (B, C): the states of each message as one."""
        return self.pool(self.hidden(ids), lengths)

    def classify(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) ids padded on the right, (B,) lengths -> (B, 2) logits for ham and spam."""
        return self.classifier(self.pooled(ids, lengths))

    @torch.no_grad()
    def generate(
        self, ids: Tensor, count: int, *, temperature: float = 0.8, top_k: int | None = 40, stop: int | None = None
    ) -> Tensor:
        """Continue (1, T) ids by `count` tokens, or up to and with the first `stop`: (1, T + count) at most.

        Tokens are drawn from the `top_k` likeliest (None: from all); temperature 0 always takes the likeliest. Raises
        RecipeError for values that mean nothing.
        """
        if not (math.isfinite(temperature) and temperature >= 0):
            raise RecipeError(f"temperature is {temperature}: give 0 (the likeliest token) or more, 0.8 is usual")
        if top_k is not None and top_k < 1:
            raise RecipeError(f"top_k is {top_k}: give 1 or more tokens to draw from, or none for the whole vocabulary")
        self.eval()
        for _ in range(count):
            logits = F.linear(self.hidden(ids[:, -self.config.context :])[:, -1], self.tokens.weight)  # (1, V)
            best, places = torch.topk(logits, 1 if temperature == 0 else min(top_k or len(logits[0]), len(logits[0])))
            drawn = torch.multinomial(((best - best[:, :1]) / (temperature or 1.0)).softmax(-1), 1)
            ids = torch.cat([ids, places.gather(1, drawn)], 1)
            if stop is not None and ids[0, -1] == stop:
                break
        return ids


def parameter_count(model: nn.Module, *, trained_only: bool = False) -> int:
    """Number of parameters, or of those that are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained_only)
