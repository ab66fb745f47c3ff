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
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from spamfilter.retrainings import FOLDER, OUTCOME, Outcome, folders, outcome_in, outcomes
from spamfilter.state_dir import sync_folder

LOCK_NAME = "retrain.lock"
CANDIDATE = "candidate"
REPORTS = ("gate.json", "gate.md")
KEPT, CANDIDATES_KEPT = 10, 3
"""So many of the newest retrainings stay, and the candidates that were refused of so many of them."""


class RetrainError(click.ClickException):
    """An expected error, as one line."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.format_message()}", file=file or sys.stderr)


class BusyError(RetrainError):
    """Another retraining is running."""


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
        for folder in folders(self._state_dir):
            outcome = outcome_in(folder)
            if outcome is None:
                _remove(folder)
            elif outcome.installed is not None:
                _remove(folder / CANDIDATE)
        left = folders(self._state_dir)
        for folder in left[:-CANDIDATES_KEPT]:
            _remove(folder / CANDIDATE)
        for folder in left[:-KEPT]:
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
        return next(iter(outcomes(self._state_dir)), None)

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


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
