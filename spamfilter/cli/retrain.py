"""`spamfilter retrain`: what people corrected becomes a better model, which takes over when the gate lets it.

The trainer runs as a process of its own, niced, with a memory limit. It only writes a candidate below
`state_dir/retrain`; what passed is installed and activated here, each by one rename. So a kill at any instant leaves
the old model serving or the new one, and at worst a folder that the next retraining removes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from spamfilter.cli.options import Sources, with_config
from spamfilter.cli.retrain_runs import CANDIDATE, BusyError, RetrainError, Runs
from spamfilter.retrainings import Outcome, said_since, told_in

if TYPE_CHECKING:
    from spamfilter.config import Config, RetrainSettings

NETWORKS = ("head", "last-block", "lora")
NICENESS = 10
REFUSED, NOT_WORTH_IT = 3, 4
"""Exit codes."""
TRAINER = (sys.executable, "-m", "trainer", "retrain")
STORE_VARIABLE = "SPAMFILTER_RETRAIN_STORE"
"""The store's URL goes to the trainer in the environment: it may hold a password."""
BY = "retrain"
_NEEDS = ("sklearn", "scipy")
_MIB = 1024 * 1024
WITH_RUN_MIB = 8192
"""The trainer's limit is no less where it reads a run: torch and the training's table want more than a head."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9  # prctl(2)

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class NewLabels:
    """How many labels people gave since the last training."""

    ham: int
    spam: int

    @property
    def total(self) -> int:
        """Both."""
        return self.ham + self.spam


@dataclass(frozen=True, slots=True)
class Learning:
    """What of the network learns, and the folder of the run that the model was trained in, or None."""

    network: str = "head"
    run: Path | None = None

    def memory_mib(self, configured: int) -> int:
        """The trainer's limit; 0 is none."""
        return configured if self.run is None or not configured else max(configured, WITH_RUN_MIB)


@click.command(short_help="Train on what people corrected; take over what passes the gate.")
@click.option("--now", is_flag=True, help="Train however few new labels there are.")
@click.option("--schedule", is_flag=True, help="For a timer: do nothing, and say nothing, when it is not due.")
@click.option("--dry-run", is_flag=True, help="Train and judge, install nothing and keep nothing.")
@click.option("--force", is_flag=True, help="Let it pass where there are too few messages to judge it on.")
@click.option(
    "--network",
    type=click.Choice(NETWORKS),
    help="What of the GPT learns, in place of retrain.network; all but its head needs a run, torch and minutes.",
)
@click.option("--run", type=click.Path(path_type=Path), help="The run that the model was trained in, to rehearse from.")
@click.option("--json", "as_json", is_flag=True, help="Print progress and outcome as JSON lines.")
@with_config
def retrain(
    sources: Sources, now: bool, schedule: bool, dry_run: bool, force: bool, network: str | None, run: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Train the model in service on what people corrected, judge the result, and let it serve if it is better.

    A candidate must lose no more ham than policy.max_false_positive_rate (where policy.spam_at is set, or on recent
    mail, than the model in service where that loses more), and must not be worse than it, on labelled mail that it had
    not learnt from, on golden/ham and golden/spam, and on plain samples; nothing in golden/must-stay-ham may be called
    spam (folders below state_dir). A running daemon changes over at once.

    By itself the network stays and its head learns, in seconds. With --run, where `pip install '.[train]'` is, more of
    the training is rehearsed; --network last-block or lora lets the network learn, too.

    The exit code is 0 when the candidate passed, or --schedule was not due; 3 when it was refused (it is kept, with the
    reasons in gate.md), 4 when there are too few new labels, and 2 for errors.
    """
    if now and schedule:
        raise click.UsageError("--now or --schedule, not both")
    config = sources.load()
    folder = run or (Path(config.retrain.run) if config.retrain.run else None)
    runs, learning = Runs(config.state_dir.absolute()), Learning(network or config.retrain.network, folder)
    try:
        with runs.alone() as lock:
            sys.exit(_retrain(config, runs, lock, learning, now=now, schedule=schedule, dry_run=dry_run, force=force,
                              as_json=as_json))  # fmt: skip
    except BusyError:
        if not schedule:
            raise


def _retrain(
    config: Config, runs: Runs, lock: int, learning: Learning, *, now: bool, schedule: bool, dry_run: bool, force: bool,
    as_json: bool,
) -> int:  # fmt: skip
    settings, last = config.retrain, runs.last()
    runs.sweep()
    found = new_labels(config, last)
    if schedule and (found.total < settings.least_new or not_yet(last, settings)):
        return 0
    if not now and found.total < settings.least_new:
        _say(as_json, too_few(found, last, settings), {"new": found.total})
        return NOT_WORTH_IT
    folder = runs.new()
    with _shown(as_json=as_json) as tell:
        result = train(config, folder, lock, tell, learning, force=force)
    gate = _gate(folder / CANDIDATE)
    until = result.get("until")
    outcome = Outcome(
        datetime.now(UTC), None if until is None else datetime.fromisoformat(until), int(result["labels"]),
        str(result["model"]), str(result["from"]), gate["passed"] is True, str(gate["sentence"]), None, False,
    )  # fmt: skip
    if dry_run:
        runs.drop(folder)
        _say(as_json, f"{outcome.sentence} (a dry run: nothing was installed)", outcome.as_json())
        return 0 if outcome.passed else REFUSED
    if outcome.passed:
        outcome = take_over(config, folder / CANDIDATE, outcome, settings)
    runs.finish(folder, outcome)
    _say(as_json, f"{outcome.sentence} {_what_now(config, outcome, folder)}", outcome.as_json())
    return 0 if outcome.passed else REFUSED


def new_labels(config: Config, last: Outcome | None) -> NewLabels:
    """The labels that stand and that the last training did not see. Raises StoreError."""
    from spamfilter.store.database import store_url
    from spamfilter.store.statistics import Statistics

    url = store_url(config.store.url, config.state_dir)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        return NewLabels(0, 0)
    with Statistics(url) as statistics:
        found = said_since(statistics, last)
    return NewLabels(found.ham, found.spam)


def not_yet(last: Outcome | None, settings: RetrainSettings) -> bool:
    """Whether the last training is too short a while ago for the next by schedule."""
    return last is not None and datetime.now(UTC) - last.time < timedelta(days=settings.every_days)


def too_few(found: NewLabels, last: Outcome | None, settings: RetrainSettings) -> str:
    """Why nothing is trained, and what to do."""
    since = "yet" if last is None else "since the last training"
    labels = "1 label" if found.total == 1 else f"{found.total} labels"
    return f"{labels} {since}; it is worth it from {settings.least_new} (--now trains all the same)"


def train(config: Config, folder: Path, lock: int, tell: Tell, learning: Learning, *, force: bool) -> Mapping[str, Any]:
    """Run the trainer to its end; its result. Raises RetrainError, BundleError."""
    from spamfilter.classifier.bundle import open_bundle
    from spamfilter.operating_point import bundle_path

    if missing := [name for name in _NEEDS if find_spec(name) is None]:
        raise RetrainError(f"retraining needs {', '.join(missing)}: pip install -c constraints.txt '.[retrain]'")
    bundle = open_bundle(bundle_path(config))
    key = config.path(config.learn.key).absolute()
    policy = config.policy
    command = [
        *TRAINER,
        "--state-dir",
        config.state_dir.absolute(),
        "--out",
        folder,
        "--bundle",
        bundle.path.absolute(),
    ]
    command += ["--budget", policy.max_false_positive_rate, "--unsure-budget", policy.max_unsure_rate]
    command += ["--spam-at", policy.spam_at] if policy.spam_at is not None else []
    command += ["--unsure-at", policy.unsure_at] if policy.unsure_at is not None else []
    command += ["--key", key] if key.exists() else []
    command += ["--force"] if force else []
    command += ["--network", learning.network]
    command += ["--set", f"unlabelled={config.retrain.unlabelled}"] if config.retrain.unlabelled else []
    command += ["--run", learning.run.absolute()] if learning.run is not None else []
    memory_mib = learning.memory_mib(config.retrain.memory_mib)
    environ = {**os.environ, **dict.fromkeys(_THREADS, "1"), STORE_VARIABLE: config.store.url}
    result: Mapping[str, Any] = {}
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            env=environ, pass_fds=(lock,), preexec_fn=_confined(memory_mib, os.getpid()),
        ) as trainer:  # fmt: skip
            try:
                assert trainer.stdout is not None
                for told in told_in(trainer.stdout):
                    if "result" in told:
                        result = told
                    else:
                        tell(told)
                trainer.wait()
            finally:
                if trainer.poll() is None:
                    trainer.kill()
        if trainer.returncode != 0 or not result:
            raise RetrainError(_why(errors, trainer.returncode))
    return result


def take_over(config: Config, candidate: Path, outcome: Outcome, settings: RetrainSettings) -> Outcome:
    """Install what passed, let it serve unless people want to be asked, and let go of old ones. Raises BundleError."""
    from spamfilter.bundles import Bundles
    from spamfilter.classifier.bundle import BundleError
    from spamfilter.cli.model import prune_old
    from spamfilter.operating_point import DEFAULT_BUNDLE

    bundles = Bundles(config.state_dir.absolute())
    name = bundles.install(candidate)
    activated = False
    if settings.activate == "auto" and config.model.bundle == DEFAULT_BUNDLE:
        bundles.activate(name, f"retrained on {outcome.labels} labels and passed the gate", BY)
        activated = True
    with suppress(BundleError):  # it serves, or may: what is old goes the next time
        prune_old(config, config.model.keep, spare=[name])
    return replace(outcome, installed=name, activated=activated)


def _what_now(config: Config, outcome: Outcome, folder: Path) -> str:
    if not outcome.passed:
        return f"The candidate and gate.md are kept in {folder / CANDIDATE}."
    if outcome.activated:
        return "It serves now; `spamfilter model rollback` takes it back."
    from spamfilter.operating_point import DEFAULT_BUNDLE

    if config.model.bundle != DEFAULT_BUNDLE:
        return f"It is installed, but model.bundle names {config.model.bundle}: set it to {outcome.installed}."
    return f"It is installed; `spamfilter model activate {outcome.installed}` lets it serve."


def _confined(memory_mib: int, parent: int) -> Callable[[], None]:
    """What is done in the trainer's process before it begins: low priority, bounded memory, no life after ours."""
    import ctypes
    import resource

    libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: after a fork it may hang

    def confine() -> None:
        os.nice(NICENESS)
        if memory_mib:
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            wanted = memory_mib * _MIB
            resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return confine


def _why(errors: IO[bytes], code: int) -> str:
    """The trainer's own last words."""
    errors.seek(0)
    lines = [line for line in errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
    said = next((line.removeprefix("Error: ") for line in reversed(lines) if line.startswith("Error: ")), None)
    if code == -_SIGKILL:
        return "the trainer was killed; when memory is short, give the machine more, or label less"
    if said is None and any("MemoryError" in line or "bad_alloc" in line for line in lines):
        return "the trainer ran out of memory; raise retrain.memory_mib"
    return said or f"the trainer failed (exit code {code}): {lines[-1] if lines else 'it said nothing'}"


def _gate(candidate: Path) -> Mapping[str, Any]:
    """The gate's report in a candidate's folder. Raises RetrainError: what was not judged does not pass."""
    path = candidate / "gate.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found, dict) and isinstance(found.get("passed"), bool) and isinstance(found.get("sentence"), str):
            return found
    except (OSError, ValueError):
        pass
    raise RetrainError(f"{path}: no report of the gate; the candidate is not taken")


@contextmanager
def _shown(*, as_json: bool) -> Iterator[Tell]:
    """What shows progress: JSON lines, a bar on a terminal, or nothing."""
    if as_json:
        yield lambda told: click.echo(json.dumps(told))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def tell(told: Mapping[str, Any]) -> None:
            step, of = str(told.get("step", "")), int(told.get("of", 0))
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=of)
            progress.update(tasks[step], completed=int(told.get("done", 0)), total=of)

        yield tell


def _say(as_json: bool, sentence: str, more: Mapping[str, Any]) -> None:
    if as_json:
        click.echo(json.dumps({"outcome": {**more, "sentence": sentence}}))
    else:
        from spamfilter.cli.terminal import plain

        click.echo(plain(sentence))
