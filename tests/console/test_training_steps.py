"""What a form can start: fixed commands, checked values, and nothing that becomes an option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from spamfilter import config
from spamfilter.console import sampling, training_steps
from spamfilter.console.training import TrainingError
from spamfilter.console.training_steps import Step, Workflow, retrain


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.setattr(training_steps, "find_spec", lambda name: object())
    return Workflow(tmp_path / "runs", tmp_path / "data")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda w: w.pretrain("one", ""), []),
        (lambda w: w.pretrain("one", "16"), ["--set", "tokens=16000000"]),
        (lambda w: w.distil("one"), []),
        (lambda w: w.finetune("one", "probe"), []),
        (lambda w: w.finetune("one", "lora"), ["--set", "strategy=lora", "--name", "finetune-lora"]),
    ],
)
def test_a_step_is_a_command_of_the_trainer(
    workflow: Workflow, made: Callable[[Workflow], Step], words: list[str]
) -> None:
    step = made(workflow)
    run, data = workflow.runs / "one", workflow.data
    assert step.command[1:] == ("-m", "trainer", step.name, "--run", str(run), "--data-dir", str(data), *words)
    assert step.folder is not None
    assert step.folder.parent == run


@pytest.mark.parametrize("name", ["", "..", "../x", "-x", "--help", "a/b", "a b", "x" * 50, "a\n", "\u0430"])
def test_a_run_is_a_plain_name(workflow: Workflow, name: str) -> None:
    for step in (lambda: workflow.pretrain(name, ""), lambda: workflow.export(name), lambda: workflow.run(name)):
        with pytest.raises(TrainingError, match="no name of a run"):
            step()


@pytest.mark.parametrize("tokens", ["0", "-1", "1e9", "10001", "1; rm", "\u0661", "1.5"])
def test_tokens_are_a_number(workflow: Workflow, tokens: str) -> None:
    with pytest.raises(TrainingError, match="tokens: a whole number"):
        workflow.pretrain("one", tokens)


@pytest.mark.parametrize("strategy", ["", "qlora", "--set"])
def test_a_strategy_is_one_of_those_offered(workflow: Workflow, strategy: str) -> None:
    with pytest.raises(TrainingError, match="no strategy"):
        workflow.finetune("one", strategy)


def test_without_the_trainer_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_steps, "find_spec", lambda name: None)
    bare = Workflow(tmp_path)
    assert "torch" in bare.missing
    with pytest.raises(TrainingError, match=r"pip install .*\[train\]"):
        bare.distil("one")
    with pytest.raises(TrainingError, match=r"pip install .*\[retrain\]"):
        retrain(config.load(environ={}, state_dir=str(tmp_path)), dry_run=False)


def test_a_retraining_takes_this_configuration_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAMFILTER__POLICY__SPAM_AT", "0.5")
    given = config.load(environ={}, state_dir=str(tmp_path), policy__spam_at=0.75, smtp__listen="127.0.0.1:10099")
    step = retrain(given, dry_run=True)
    assert step.command[2:6] == ("spamfilter", "retrain", "--now", "--json")
    assert "--dry-run" in step.command
    assert not any(name.startswith("SPAMFILTER__") for name in step.environ)
    written = Path(step.command[-1])
    assert written.stat().st_mode & 0o077 == 0
    assert config.load(written, environ={}) == given.model_copy(update={"state_dir": tmp_path.absolute()})
    assert "10099" in yaml.safe_dump(yaml.safe_load(written.read_text()))


GIVEN = {"run": "one", "prompt": "subject: ", "temperature": "0.8", "tokens": "20", "seed": "1"}


def test_a_sample_is_a_command_without_loose_words(workflow: Workflow) -> None:
    (workflow.runs / "one" / "pretrain").mkdir(parents=True)
    (workflow.runs / "one" / "pretrain" / "final.pt").touch()
    command = sampling.command_for(workflow, {**GIVEN, "prompt": "--help --run /etc"})
    assert command[3] == "generate"
    assert all(
        word.startswith(("--run=", "--prompt=", "--tokens=", "--temperature=", "--seed=")) for word in command[4:]
    )
    assert "--prompt=--help --run /etc" in command


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("prompt", "x" * 501, "501 characters"),
        ("prompt", "a\0b", "characters"),
        ("temperature", "2.1", "temperature"),
        ("temperature", "nan", "temperature"),
        ("tokens", "401", "tokens"),
        ("tokens", "", "tokens"),
        ("seed", "-1", "seed"),
        ("run", "two", "no finished pretraining"),
        ("run", "../one", "no name of a run"),
    ],
)
def test_what_is_no_sample_is_refused(workflow: Workflow, field: str, value: str, why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        sampling.command_for(workflow, {**GIVEN, field: value})


async def test_what_a_command_writes_is_the_sample() -> None:
    import sys

    assert await sampling.written([sys.executable, "-c", "print('subject: hello')"]) == "subject: hello\n"
    with pytest.raises(TrainingError, match="could not write: no such run"):
        await sampling.written([sys.executable, "-c", "import sys; sys.exit('Error: no such run')"])


async def test_a_sample_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sampling, "SAMPLE_S", 0.1)
    with pytest.raises(TrainingError, match="no text within"):
        await sampling.written([sys.executable, "-c", "import time; time.sleep(60)"])
