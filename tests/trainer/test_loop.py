"""The training loop's parts: schedule, precision, averaging, losses, and two processes that train as one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.conftest import ROOT
from trainer.loop import Pace, autocast, averaged, cosine, parameter_groups
from trainer.losses import IGNORE, SampledSoftmax, teacher_loss, vocabulary_loss


def test_the_learning_rate_rises_then_falls() -> None:
    factors = [cosine(step, 100, 10) for step in range(100)]
    assert factors[0] < factors[5] < factors[10] == max(factors)
    assert factors[-1] == pytest.approx(0.1, abs=0.01)


def test_frozen_parameters_are_not_optimised_and_vectors_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    matrices, vectors = parameter_groups(model, 0.1)
    assert [p.shape for p in matrices["params"]] == [(2, 4)] and matrices["weight_decay"] == 0.1
    assert [p.shape for p in vectors["params"]] == [(2,)] and vectors["weight_decay"] == 0.0


def test_precision_is_as_asked() -> None:
    x = torch.ones(4, 4)
    with autocast(torch.device("cpu"), "bf16"):
        assert (x @ x).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), "fp32"):
        assert (x @ x).dtype == torch.float32


def test_averaged_weights_stand_only_inside() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    with averaged(model, {"weight": torch.zeros(2, 2)}):
        assert not model.weight.any()
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("changes", [{"average": 1.0}, {"accumulate": 0}, {"precision": "int3"}])
def test_a_pace_that_means_nothing_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        Pace(**changes)  # type: ignore[arg-type]


def test_the_chunked_loss_is_the_plain_one() -> None:
    states, table = torch.randn(30, 8), torch.randn(50, 8)
    targets = torch.randint(0, 50, (30,))
    targets[:5] = IGNORE
    plain = F.cross_entropy(F.linear(states, table), targets, ignore_index=IGNORE)
    assert torch.allclose(vocabulary_loss(states, table, targets, chunk=7), plain, atol=1e-5)


def test_sampled_softmax_over_every_token_is_the_whole_softmax() -> None:
    states, table, targets = torch.randn(40, 8), torch.randn(50, 8), torch.randint(0, 50, (40,))
    sampled = SampledSoftmax(np.ones(50), drawn=50)
    whole = F.cross_entropy(F.linear(states, table), targets)
    assert torch.allclose(sampled(states, table, targets, seed=1), whole, atol=0.02)


def test_going_down_the_sampled_softmax_goes_down_the_whole_and_repeats_by_seed() -> None:
    torch.manual_seed(0)
    states, targets = torch.randn(400, 16), torch.randint(0, 2000, (400,))
    table = (0.3 * torch.randn(2000, 16)).requires_grad_()
    sampled = SampledSoftmax(np.ones(2000), drawn=500)
    before = F.cross_entropy(F.linear(states, table), targets).item()
    assert torch.equal(sampled(states, table, targets, seed=3), sampled(states, table, targets, seed=3))
    assert not torch.equal(sampled(states, table, targets, seed=3), sampled(states, table, targets, seed=4))
    optimizer = torch.optim.Adam([table], lr=0.01)
    for step in range(50):
        optimizer.zero_grad()
        sampled(states, table, targets, seed=step).backward()
        optimizer.step()
    assert F.cross_entropy(F.linear(states, table), targets).item() < before - 0.5


def test_nearness_to_a_teacher() -> None:
    projector = nn.Linear(4, 4, bias=False)
    nn.init.eye_(projector.weight)
    wanted = F.normalize(torch.randn(6, 4), dim=-1)
    assert teacher_loss(projector, wanted * 3, wanted).item() == pytest.approx(0.0, abs=1e-6)
    assert teacher_loss(projector, -wanted, wanted).item() == pytest.approx(2.0, abs=1e-6)


def test_two_processes_train_as_one_on_the_whole_batch(tmp_path: Path) -> None:
    script = ROOT / "tests" / "trainer" / "parallel_process.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(script), str(tmp_path / "one")], env=environment, check=True, timeout=120)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={port}"]
    subprocess.run(
        [sys.executable, *launch, str(script), str(tmp_path / "two")], env=environment, check=True, timeout=170
    )
    one, two = (torch.load(tmp_path / name / "final.pt", weights_only=True)["model"] for name in ("one", "two"))
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4
    assert not torch.equal(one["model.tokens.weight"], torch.zeros_like(one["model.tokens.weight"]))
