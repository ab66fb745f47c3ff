"""Kills retrainings at random instants, trainer and all, and looks at what is left after each: `ROOT ROUNDS SEED`.

A process of its own, because it forks: a fresh interpreter for every kill would take minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import click

from spamfilter import classifier, config
from spamfilter.bundles import Bundles, is_whole
from spamfilter.classifier import bundle as shipped
from spamfilter.cli import retrain as command
from spamfilter.cli.retrain_runs import CANDIDATE, FOLDER, OUTCOME, BusyError, Runs
from tests.bundles_process import inspect, make

SCRIPT = Path(__file__).with_name("scripted_trainer.py")


def attempt(loaded: config.Config) -> int:
    """One retraining, as the command does it, silent; its exit code."""
    runs = Runs(loaded.state_dir)
    with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing), runs.alone() as lock:
        return command._retrain(
            loaded, runs, lock, command.Learning(), now=True, schedule=False, dry_run=False, force=False, as_json=True
        )  # fmt: skip


def took(loaded: config.Config) -> float:
    """Seconds of one retraining that nobody disturbs."""
    started = time.monotonic()
    attempt(loaded)
    return time.monotonic() - started


def when_free(loaded: config.Config) -> int:
    """A retraining as soon as the killed one's trainer has gone, too."""
    for _ in range(200):
        with contextlib.suppress(BusyError):
            return attempt(loaded)
        time.sleep(0.01)
    raise AssertionError("the trainer outlived the command that started it")


def look(loaded: config.Config) -> None:
    """The registry, where there is one yet, is whole."""
    if (loaded.state_dir / "models").is_dir():
        inspect(loaded.state_dir)


def main() -> None:
    """Print how many rounds left what: nothing yet, half a run, a whole one."""
    root, rounds, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    small = make(root / "shipped", 99)
    shipped.default_bundle = lambda: small  # type: ignore[assignment]
    command.TRAINER = (sys.executable, "-I", "-S", str(SCRIPT))
    classifier.load = lambda path, **options: None  # type: ignore[assignment,return-value]
    sources = [make(root / f"source{seed}", seed) for seed in range(3)]
    loaded = config.load(environ={}, state_dir=str(root / "state"))
    left: Counter[str] = Counter()
    os.environ |= {"SCRIPTED_SOURCE": str(sources[0]), "SCRIPTED_PASSED": "1"}
    whole = config.load(environ={}, state_dir=str(root / "whole"))
    longest_s = min(took(whole) for _ in range(4))  # kills are to fall into it on any machine
    for number in range(rounds):
        os.environ["SCRIPTED_SOURCE"] = str(sources[number % 3])
        os.environ["SCRIPTED_PASSED"] = "01"[number % 4 > 0]
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                attempt(loaded)
            os._exit(9)
        time.sleep(rng.uniform(0.001, longest_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        look(loaded)
        folder = loaded.state_dir / FOLDER
        open_ = [run for run in folder.iterdir() if not (run / OUTCOME).exists()] if folder.is_dir() else []
        left["half a run" if open_ else "a whole one" if folder.is_dir() and any(folder.iterdir()) else "nothing"] += 1
        if number % 5 == 4:
            assert when_free(loaded) == (0 if os.environ["SCRIPTED_PASSED"] == "1" else 3)
            assert not [run for run in folder.iterdir() if not (run / OUTCOME).exists()], "leftovers were not swept up"
            for run in folder.iterdir():
                outcome = json.loads((run / OUTCOME).read_text())
                assert (run / CANDIDATE).exists() <= (not outcome["passed"]), "an installed candidate lies about"
            look(loaded)
            Bundles(loaded.state_dir, check=is_whole).prune(1)  # so that there is something to install again
    print(json.dumps(left))


if __name__ == "__main__":
    with contextlib.suppress(click.Abort):
        main()
