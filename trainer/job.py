"""What one retraining is asked for, and how it tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.gate import GateSettings
from trainer.recipes.retrain import Retrain

_TELL_EVERY_S = 0.2

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to retrain, from what, and where to write. `folder` is empty or not there; `store`: a URL, or empty.

    `run`: the folder of the run that the model was trained in, where it is at hand.
    """

    state_dir: Path
    folder: Path
    bundle: Path
    store: str = ""
    key: Path | None = None
    run: Path | None = None
    force: bool = False
    retrain: Retrain = field(default_factory=Retrain)
    gate: GateSettings = field(default_factory=GateSettings)


class Progress:
    """Tells how far each step is: done, of how many, and how many seconds are left of it."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._step, self._done, self._of, self._began, self._told = "", 0, 0, 0.0, 0.0

    def begin(self, step: str, of: int = 1) -> None:
        """A step of `of` parts begins."""
        self._step, self._done, self._of, self._began = step, 0, of, time.monotonic()
        self._say()

    def advance(self) -> None:
        """One part is done."""
        self._done = min(self._done + 1, self._of)
        if self._done == self._of or time.monotonic() - self._told > _TELL_EVERY_S:
            self._say()

    def _say(self) -> None:
        self._told = time.monotonic()
        left = (self._told - self._began) / self._done * (self._of - self._done) if self._done else None
        eta = None if left is None else round(left, 1)
        self._tell({"step": self._step, "done": self._done, "of": self._of, "eta_s": eta})
