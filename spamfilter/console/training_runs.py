"""How far a training is, read from what it leaves: `metrics.jsonl` and settings in a run's folder, lines in a log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from spamfilter.console.charts import Line, lines
from spamfilter.retrainings import told_in

METRICS, SETTINGS = "metrics.jsonl", "settings.json"
_MOST_POINTS = 400
_NOT_DRAWN = frozenset({"step", "time", "rate", "lr", "tokens", "seconds", "trained", "total"})
_NAMES = {"loss": "training loss", "valid_loss": "held-out loss", "holdout_auc": "held-out ROC AUC"}
_STYLES = ("accent", "unsure", "ham", "spam", "muted")

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Progress:
    """`share` of the work that is done (0-1), or None; `eta_s` the seconds that are left, or None; `step` in words."""

    step: str
    share: float | None
    eta_s: float | None

    @property
    def left(self) -> str:
        """The time that is left, for people."""
        if self.eta_s is None:
            return ""
        minutes, seconds = divmod(round(self.eta_s), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min left" if hours else f"{minutes} min {seconds} s left"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a retraining ended, in a sentence; `installed` names the candidate in the registry, "" where it is not."""

    sentence: str
    passed: bool
    installed: str


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run: which of the trainer's steps are done or begun in it, and whether it can write samples."""

    name: str
    steps: tuple[str, ...]
    writes: bool
    exported: bool


def run_folders(runs: Path) -> list[RunFolder]:
    """The runs below a folder, by name."""
    try:
        folders = sorted(path for path in runs.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
    found = []
    for path in folders:
        steps = tuple(sorted(one.parent.name for one in path.glob(f"*/{METRICS}")))
        if steps:
            whole = (path / "pretrain" / "final.pt").is_file()
            found.append(RunFolder(path.name, steps, whole, (path / "bundle" / "manifest.json").is_file()))
    return found


def metrics(folder: Path) -> list[Values]:
    """The lines of a run's metrics, numbers only; what is torn or no metric is left out."""
    return [
        {key: float(value) for key, value in told.items() if isinstance(value, int | float)}
        for told in told_in(_text(folder / METRICS).splitlines())
        if "step" in told
    ]


def curves(found: Sequence[Values], title: str) -> list[Markup]:
    """Losses in one chart, held-out figures in another, over the steps; nothing where there is nothing yet."""
    keys = list(dict.fromkeys(key for values in found for key in values if key not in _NOT_DRAWN))
    losses = [key for key in keys if key.endswith("loss")]
    drawn = []
    for group, what in ((losses, "loss in nats"), ([key for key in keys if key not in losses], "held-out figures")):
        series = [
            Line(_NAMES.get(key, key.replace("_", " ")), _STYLES[place % len(_STYLES)], _points(found, key))
            for place, key in enumerate(group)
        ]
        if series:
            drawn.append(lines(f"{title}: {what}", series, x="step", from_zero=False))
    return drawn


def progress_of_run(folder: Path, found: Sequence[Values]) -> Progress | None:
    """How far a pretraining is, by its tokens; of other steps only where they are, since no file says how many."""
    last = next((values for values in reversed(found) if "rate" in values), found[-1] if found else None)
    if last is None:
        return None
    step = f"step {last['step']:,.0f}"
    try:
        wanted = float(json.loads(_text(folder / SETTINGS))["tokens"])
        read, rate = last["tokens"], last["rate"]
    except (ValueError, TypeError, KeyError):
        return Progress(step, None, None)
    share = min(read / wanted, 1.0) if wanted > 0 else None
    return Progress(f"{step}, {read / 1e6:,.1f} of {wanted / 1e6:,.0f} million tokens", share,
                    max(wanted - read, 0.0) / rate if rate > 0 else None)  # fmt: skip


def progress_of_log(log: str) -> Progress | None:
    """How far a retraining is, by the last line that it told."""
    told = next((one for one in reversed([*told_in(log.splitlines())]) if "step" in one), None)
    if told is None:
        return None
    try:
        of, done = float(told["of"]), float(told["done"])
        eta = told.get("eta_s")
        return Progress(str(told["step"]), done / of if of else None, None if eta is None else float(eta))
    except (ValueError, TypeError, KeyError):
        return None


def outcome_in(log: str) -> Ended | None:
    """What a retraining says at its end; None where it says nothing."""
    told = next(
        (one["outcome"] for one in reversed([*told_in(log.splitlines())]) if isinstance(one.get("outcome"), dict)), None
    )
    if told is None:
        return None
    return Ended(str(told.get("sentence", "")), told.get("passed") is True, str(told.get("installed") or ""))


def complaint_in(log: str) -> str:
    """The last error that a command told its user, or ""."""
    told = [line for line in log.splitlines() if line.lower().startswith("error: ")]
    return told[-1][len("error: ") :] if told else ""


def _points(found: Sequence[Values], key: str) -> list[tuple[float, float]]:
    points = [(values["step"], values[key]) for values in found if key in values]
    every = -(-len(points) // _MOST_POINTS)
    return points if every <= 1 else [*points[::every], points[-1]]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
