"""The folders that retrainings leave below `state_dir/retrain`, and the lock under which there is one at a time.

    retrain/TIME/snapshot.jsonl   the labels as they stood
    retrain/TIME/candidate/       the bundle that was made, with gate.json and gate.md; gone once it is installed
    retrain/TIME/outcome.json     written last, by rename: a folder without one was left by a killed retraining

The lock is inherited by the trainer: while either lives, nobody else begins, or sweeps up.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import click

from spamfilter.state_dir import sync_folder

LOCK_NAME = "retrain.lock"
FOLDER, CANDIDATE, OUTCOME = "retrain", "candidate", "outcome.json"
REPORTS = ("gate.json", "gate.md")
KEPT, CANDIDATES_KEPT = 10, 3
"""So many of the newest retrainings stay, and the candidates that were refused of so many of them."""
_NAME = re.compile(r"\d{8}T\d{6}(-\d+)?")


class RetrainError(click.ClickException):
    """An expected error, as one line."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.format_message()}", file=file or sys.stderr)


class BusyError(RetrainError):
    """Another retraining is running."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a retraining ended. `until`: the newest label that it saw; `installed`: its name in the registry, or None."""

    time: datetime
    until: datetime | None
    labels: int
    model: str
    before: str
    passed: bool
    sentence: str
    installed: str | None
    activated: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **asdict(self),
            "time": self.time.isoformat(timespec="seconds"),
            "until": None if self.until is None else self.until.isoformat(),
        }


class Runs:
    """The retrainings of one `state_dir`."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.folder = state_dir / FOLDER

    @contextmanager
    def alone(self) -> Iterator[int]:
        """Be the only retraining; the lock's descriptor, for a child to inherit. Raises BusyError naming who is."""
        path = self._state_dir / LOCK_NAME
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RetrainError(f"{path}: {error.strerror}; run it as the daemon's user") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(descriptor, 200, 0).decode("ascii", "replace").strip() or "unknown"
                raise BusyError(f"another retraining is running ({holder}); wait for it") from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}, since {time.strftime('%H:%M:%S')}\n".encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def sweep(self) -> None:
        """Remove what killed retrainings left, candidates that are installed, and what is too old to be kept."""
        for folder in self._folders():
            outcome = _outcome(folder)
            if outcome is None:
                _remove(folder)
            elif outcome.installed is not None:
                _remove(folder / CANDIDATE)
        folders = self._folders()
        for folder in folders[:-CANDIDATES_KEPT]:
            _remove(folder / CANDIDATE)
        for folder in folders[:-KEPT]:
            _remove(folder)

    def new(self) -> Path:
        """The folder for a retraining that begins; not made yet."""
        name = base = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        number = 1
        while (self.folder / name).exists():
            number += 1
            name = f"{base}-{number}"
        return self.folder / name

    def last(self) -> Outcome | None:
        """How the last one ended that did end."""
        return next((found for folder in reversed(self._folders()) if (found := _outcome(folder)) is not None), None)

    def finish(self, folder: Path, outcome: Outcome) -> None:
        """Note how a retraining ended; what is installed needs no second copy."""
        if outcome.installed is not None:
            for name in REPORTS:
                with contextlib.suppress(OSError):
                    shutil.copyfile(folder / CANDIDATE / name, folder / name)
        temporary = folder / f".{OUTCOME}.new"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(outcome.as_json(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / OUTCOME)
        sync_folder(folder)
        if outcome.installed is not None:
            _remove(folder / CANDIDATE)

    def drop(self, folder: Path) -> None:
        """Remove a retraining that nobody is to know of."""
        _remove(folder)

    def _folders(self) -> list[Path]:
        """Oldest first."""
        try:
            with os.scandir(self.folder) as entries:
                names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
        except OSError:
            return []
        return [self.folder / name for name in sorted(names, key=_order)]


def _order(name: str) -> tuple[str, int]:
    time_, _, number = name.partition("-")
    return time_, int(number or 1)


def _outcome(folder: Path) -> Outcome | None:
    try:
        fields = json.loads((folder / OUTCOME).read_text("utf-8"))
        until = fields["until"]
        moments = {
            "time": datetime.fromisoformat(fields["time"]),
            "until": None if until is None else datetime.fromisoformat(until),
        }
        return Outcome(**{**fields, **moments})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
