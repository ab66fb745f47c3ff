"""Where a fine-tuning starts: a pretrained base of our own, a public GPT-2, or random weights as the control."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from spamfilter.classifier.tokenizer import Tokenizer
from trainer.errors import RecipeError
from trainer.gpt import GPT, GPTConfig
from trainer.run import Run


@dataclass(frozen=True, slots=True)
class Base:
    """A network's sizes and weights, its tokenizer, and its projection to a teacher's space where it has one."""

    config: GPTConfig
    tokenizer: Any
    weights: Mapping[str, Tensor] | None
    projector: Mapping[str, Tensor] | None = None

    def network(self, *, pooling: str = "last") -> GPT:
        """A fresh network with these weights."""
        model = GPT(dataclasses.replace(self.config, pooling=pooling))
        if self.weights is not None:
            model.load_state_dict(self.weights)
        return model

    def random(self) -> Base:
        """The same sizes and tokenizer, nothing learnt."""
        return dataclasses.replace(self, weights=None, projector=None)


def config_of(folder: Path, vocab_size: int) -> GPTConfig:
    """The sizes of a run's network, from the frozen settings of its pretraining. Raises RecipeError."""
    file = folder / "sizes.json"
    file = file if file.is_file() else folder / "settings.json"
    if not file.is_file():
        raise RecipeError(f"{folder}: no pretraining there; run `python -m trainer pretrain` first")
    frozen = json.loads(file.read_text())
    return GPTConfig(
        vocab_size, frozen["context"], frozen["layers"], frozen["heads"], frozen["channels"], frozen["dropout"]
    )


def base_of(run: Path) -> Path:
    """The folder of a run's base: its finished distillation where there is one, else its pretraining."""
    return run / "distil" if (run / "distil" / "final.pt").is_file() else run / "pretrain"


def load_base(folder: Path) -> Base:
    """The base that a pretraining left in `folder`, finished or at its last checkpoint. Raises RecipeError."""
    if not (folder / "tokenizer.tiktoken").is_file():
        raise RecipeError(f"{folder}: no pretraining there; run `python -m trainer pretrain` first")
    tokenizer = Tokenizer.load(folder / "tokenizer.tiktoken")
    config = config_of(folder, tokenizer.vocab_size)
    state = Run(folder).load("final.pt") or Run(folder).load()
    if state is None:
        raise RecipeError(f"{folder}: no checkpoint; run `python -m trainer pretrain` first")
    weights = {**state["model"], **state.get("average", {})}
    return Base(config, tokenizer, _below(weights, "model."), _below(weights, "projector.") or None)


def named_base(name: str, run: Path) -> Base:
    """What `--base` names: "" for the run's own, `random`, `gpt2:PATH-OR-ID`, or a pretraining's folder."""
    if name.startswith("gpt2:"):
        return load_gpt2(name.removeprefix("gpt2:"))
    if name == "random":
        return load_base(run / "pretrain").random()
    return load_base(Path(name) if name else base_of(run))


def load_gpt2(where: str, bpe: Path | None = None) -> Base:
    """A public GPT-2 by folder, file or hub id, with its BPE. Raises RecipeError."""
    from trainer.gpt2 import Gpt2Tokenizer
    from trainer.gpt2 import load_gpt2 as load

    model = load(where)
    return Base(model.config, Gpt2Tokenizer.load(bpe), model.state_dict())


def keep_base(folder: Path, start: Path, base: Base) -> None:
    """Write what `load_base` needs besides weights into the folder of a run that goes on from another base."""
    shutil.copyfile(start / "tokenizer.tiktoken", folder / "tokenizer.tiktoken")
    (folder / "sizes.json").write_text(json.dumps(dataclasses.asdict(base.config)))


def load_classifier(folder: Path) -> GPT:
    """The network of a finished fine-tuning. Raises RecipeError."""
    state = Run(folder).load("final.pt")
    if state is None or not (folder / "sizes.json").is_file():
        raise RecipeError(f"{folder}: no finished fine-tuning; run `python -m trainer finetune` first")
    model = GPT(GPTConfig(**json.loads((folder / "sizes.json").read_text())))
    model.load_state_dict(_below(state["model"], "model."))
    return model.eval()


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
