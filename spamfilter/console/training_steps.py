"""What the training page can start: fixed argument lists, into which checked values go, never what a form said.

Retraining takes the daemon's own configuration, written out whole for the process that reads it. The other steps are
the trainer's, over the runs below `console.runs`; they are offered where torch is installed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from spamfilter.config import Config
from spamfilter.console.own_process import own_command
from spamfilter.console.training import TrainingError

RETRAIN = "retrain"
STRATEGIES = ("probe", "last-block", "lora", "full")
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}")
MOST_TOKENS_M = 10_000
_TRAINER = (sys.executable, "-m", "trainer")
_RETRAIN_NEEDS = ("sklearn", "scipy")
_WORKFLOW_NEEDS = ("torch", "sklearn", "pandas", "tokenizers")


@dataclass(frozen=True, slots=True)
class Step:
    """A command to start; `folder` is where it leaves `metrics.jsonl`, or None."""

    name: str
    command: tuple[str, ...]
    folder: Path | None
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Workflow:
    """The trainer's commands over the runs below `runs`; `data` is the folder of the corpora, None for its default."""

    runs: Path
    data: Path | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed here."""
        return _missing(_WORKFLOW_NEEDS)

    def run(self, name: str) -> Path:
        """The folder of a run. Raises TrainingError for what is no plain name."""
        if not RUN_NAME.fullmatch(name):
            raise TrainingError(f"{name!r} is no name of a run: letters, digits, dots and dashes, 41 at most")
        return self.runs / name

    def pretrain(self, run: str, tokens_m: str) -> Step:
        """Teach a GPT language; `tokens_m`: millions of tokens, the recipe's where empty."""
        folder = self.run(run)
        more = () if not tokens_m else ("--set", f"tokens={_number(tokens_m, 'tokens', 1, MOST_TOKENS_M) * 1_000_000}")
        return self._step("pretrain", folder, more, folder / "pretrain")

    def distil(self, run: str) -> Step:
        """Go on from a pretrained base with a sentence encoder's meaning."""
        folder = self.run(run)
        return self._step("distil", folder, (), folder / "distil")

    def finetune(self, run: str, strategy: str) -> Step:
        """Teach the base ham and spam, with so much of it trained as `strategy` says; each has a folder of its own."""
        if strategy not in STRATEGIES:
            raise TrainingError(f"{strategy!r} is no strategy; choose from {', '.join(STRATEGIES)}")
        folder = self.run(run)
        name = "finetune" if strategy == STRATEGIES[0] else f"finetune-{strategy}"
        more = () if strategy == STRATEGIES[0] else ("--set", f"strategy={strategy}", "--name", name)
        return self._step("finetune", folder, more, folder / name)

    def export(self, run: str) -> Step:
        """Make a bundle of a run, in its folder `bundle`."""
        folder = self.run(run)
        return self._step("export", folder, ("--out", str(folder / "bundle")), None)

    def sample(self, run: str, prompt: str, *, tokens: int, temperature: float, seed: int) -> list[str]:
        """The command that lets a pretrained base continue `prompt`."""
        given = {
            "run": str(self.run(run)),
            "prompt": prompt,
            "tokens": tokens,
            "temperature": temperature,
            "seed": seed,
        }
        return [*_TRAINER, "generate", *(f"--{name}={value}" for name, value in given.items())]

    def _step(self, name: str, run: Path, more: tuple[str, ...], folder: Path | None) -> Step:
        if self.missing:
            raise TrainingError(
                f"the trainer needs {', '.join(self.missing)}: pip install -c constraints.txt '.[train]'"
            )
        data = () if self.data is None else ("--data-dir", str(self.data))
        environ = {**os.environ, "PYTHONUNBUFFERED": "1"}  # its log is looked at while it runs
        return Step(name, (*_TRAINER, name, "--run", str(run), *data, *more), folder, environ)


def retrain(config: Config, *, dry_run: bool) -> Step:
    """`spamfilter retrain --now` under this configuration. Raises TrainingError."""
    if missing := _missing(_RETRAIN_NEEDS):
        raise TrainingError(f"retraining needs {', '.join(missing)}: pip install -c constraints.txt '.[retrain]'")
    words = (RETRAIN, "--now", "--json", *(("--dry-run",) if dry_run else ()))
    try:
        command, environ = own_command(config, *words)
    except OSError as error:
        raise TrainingError(f"{error.filename}: {error.strerror}; the console keeps its trainings there") from None
    return Step(RETRAIN, tuple(command), None, environ)


def _missing(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if find_spec(name) is None)


def _number(text: str, what: str, least: int, most: int) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
        raise TrainingError(f"{what}: a whole number from {least} to {most:,}, not {text!r}")
    return int(text)
