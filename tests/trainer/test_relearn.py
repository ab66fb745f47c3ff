"""The network learns from corrections, is held by the replay, and what judges a message had not learnt from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from spamfilter.classifier.tokenizer import Tokenizer, write_ranks
from tests.trainer.tiny import tiny_model, tiny_ranks
from trainer.export import export_graph
from trainer.gpt import GPT
from trainer.job import Progress
from trainer.recipes.relearn import Lesson, relearn, steps_for
from trainer.recipes.retrain import Relearnt, Retrain
from trainer.rehearsal import states_of

SETTINGS = Retrain(network="lora", batch=8, passes=6, learning_rate=0.01, rank=4)
CORRECTED, REPLAYED = 12, 20


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.tiktoken"
    write_ranks(tiny_ranks(), path)
    return Tokenizer.load(path)


@pytest.fixture(scope="module")
def lesson(tokenizer: Tokenizer) -> Lesson:
    """Corrections that call prizes spam and meetings ham, and a replay of foxes."""
    texts = [
        ("you win a free prize now", "the meeting moved to monday")[row % 2] + f" {row}" for row in range(CORRECTED)
    ]
    texts += [f"the quick brown fox jumps over {row} dogs" for row in range(REPLAYED)]
    spam = [1 - row % 2 for row in range(CORRECTED + REPLAYED)]
    table = pd.DataFrame({"preamble": "", "text": texts, "tail": "", "spam": spam})
    windows = [tokenizer.window(text, "", 48, "") for text in texts]
    half = np.arange(CORRECTED) // 2 % 2
    return Lesson(table, windows, np.ones(len(table)), half)


def learnt(lesson: Lesson, tokenizer: Tokenizer, settings: Retrain, graph: Path) -> tuple[Relearnt, GPT, list[Any]]:
    model, told = tiny_model(tokenizer.vocab_size), []
    found, _ = relearn(model, tokenizer, lesson, settings, Progress(told.append), graph)
    return found, model, told


@pytest.fixture(scope="module")
def made(lesson: Lesson, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    graph = tmp_path_factory.mktemp("graph") / "network.onnx"
    return *learnt(lesson, tokenizer, SETTINGS, graph), graph


def _logits(model: GPT, states: np.ndarray) -> np.ndarray:
    weight, bias = (part.detach().numpy() for part in (model.classifier.weight, model.classifier.bias))
    return np.asarray(states @ (weight[1] - weight[0]) + bias[1] - bias[0])


def _right(values: np.ndarray, spam: np.ndarray) -> float:
    return float((values * (spam * 2.0 - 1.0)).mean())


def test_states_move_towards_the_labels_under_the_same_head(
    made: tuple[Any, ...], lesson: Lesson, tmp_path: Path
) -> None:
    found, model, _, _ = made
    export_graph(model, tmp_path / "before.onnx")
    before = states_of(tmp_path / "before.onnx", lesson.windows[:CORRECTED], Progress(lambda told: None))
    spam = lesson.table["spam"].to_numpy()[:CORRECTED]
    assert _right(_logits(model, found.corrections), spam) > _right(_logits(model, before), spam) + 0.5


def test_the_given_network_stays_as_it_was(made: tuple[Any, ...], tokenizer: Tokenizer) -> None:
    _, model, _, _ = made
    fresh = tiny_model(tokenizer.vocab_size).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in model.state_dict().items())


def test_the_graph_is_that_of_the_states(made: tuple[Any, ...], lesson: Lesson) -> None:
    found, _, _, graph = made
    again = states_of(graph, lesson.windows, Progress(lambda told: None))
    assert again[:CORRECTED] == pytest.approx(found.corrections) and again[CORRECTED:] == pytest.approx(found.replay)


def test_unseen_states_are_of_networks_that_had_not_learnt_from_the_message(
    made: tuple[Any, ...], lesson: Lesson, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """With one half's labels turned around, the states of that half that were not learnt from stay as they were."""
    found, _, _, _ = made
    for half in (0, 1):
        mine = np.flatnonzero(lesson.half == half)
        assert not set(lesson.without(half)) & set(mine)
    turned = lesson.table.copy()
    mine = np.flatnonzero(lesson.half == 0)
    turned.loc[mine, "spam"] = 1 - turned.loc[mine, "spam"]
    other, _, _ = learnt(replace(lesson, table=turned), tokenizer, SETTINGS, tmp_path / "graph.onnx")
    assert other.corrections_unseen[mine] == pytest.approx(found.corrections_unseen[mine])
    assert np.abs(other.corrections[mine] - found.corrections[mine]).max() > 0.05
    assert np.abs(found.corrections[mine] - found.corrections_unseen[mine]).max() > 0.01


def test_the_replay_holds_it_back(lesson: Lesson, tokenizer: Tokenizer, made: tuple[Any, ...], tmp_path: Path) -> None:
    """Where all that the replay teaches is what the network said before, its own answers move less."""
    _, model, _, _ = made
    export_graph(model, tmp_path / "before.onnx")
    before = _logits(
        model, states_of(tmp_path / "before.onnx", lesson.windows[CORRECTED:], Progress(lambda told: None))
    )
    moved = []
    for kept in (1.0, 0.0):
        found, _, _ = learnt(lesson, tokenizer, replace(SETTINGS, kept=kept), tmp_path / "graph.onnx")
        moved.append(np.abs(_logits(model, found.replay) - before).mean())
    assert moved[0] < moved[1]


def test_the_last_block_learns_too_and_a_seed_repeats(lesson: Lesson, tokenizer: Tokenizer, tmp_path: Path) -> None:
    settings = replace(SETTINGS, network="last-block", learning_rate=0.003)
    first, model, _ = learnt(lesson, tokenizer, settings, tmp_path / "graph.onnx")
    again, _, _ = learnt(lesson, tokenizer, settings, tmp_path / "graph.onnx")
    assert np.array_equal(first.corrections, again.corrections)
    assert np.array_equal(first.replay_unseen, again.replay_unseen)
    spam = lesson.table["spam"].to_numpy()[:CORRECTED]
    assert _right(_logits(model, first.corrections), spam) > 0


def test_progress_is_told_to_its_end(made: tuple[Any, ...]) -> None:
    _, _, told, _ = made
    last = {line["step"]: line for line in told}
    assert list(last) == ["learning", "reading again"]
    assert all(line["done"] == line["of"] for line in last.values())


def test_few_corrections_take_few_steps_and_many_not_endlessly() -> None:
    settings = Retrain(batch=32, passes=4, most_steps=100)
    assert [steps_for(count, settings) for count in (0, 10, 200, 10_000)] == [1, 3, 50, 100]
