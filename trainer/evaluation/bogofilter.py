"""bogofilter, the Bayesian filter of every Debian mirror, trained and asked in bulk on the same raw mails.

Messages go to it as files whose names it reads from its standard input (`-b`), its word list lives in a folder of its
own, and system and user configuration are not read (`-C`), so that a figure is the program's and not the host's.
Other filters' verdict headers are taken off first: they carry the label. Source: bogofilter(1), version 1.2.5.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from spamfilter.headers import is_forged
from spamfilter.message import body_offset
from trainer.errors import TrainerError

PROGRAM = "bogofilter"
HOW_TO_INSTALL = "apt-get install bogofilter"
SPAM_CUTOFF = 0.99
"""Its default: at or above this spamicity it says spam."""
_BATCH = 5000  # files on disk at once
_SUCCESS = (0, 1, 2)  # spam, ham, unsure; 3 is an error


def absence() -> str | None:
    """Why bogofilter cannot take part, or None when it can."""
    return None if shutil.which(PROGRAM) else f"{PROGRAM} is not installed: {HOW_TO_INSTALL}"


class Bogofilter:
    """One word list in a temporary folder, gone at `close` or at the end of a `with`. Raises TrainerError.

    Not calibrated: a spamicity near 1 says that ham words are missing, not how often such mail is spam.
    """

    threshold = SPAM_CUTOFF
    calibrated = False

    def __init__(self) -> None:
        if (reason := absence()) is not None:
            raise TrainerError(reason)
        self._program = str(shutil.which(PROGRAM))
        self._folder = tempfile.TemporaryDirectory(prefix="bogofilter-")
        (Path(self._folder.name) / "words").mkdir()

    def __enter__(self) -> Bogofilter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Remove the word list."""
        self._folder.cleanup()

    def fit(self, raws: Sequence[bytes], spam: np.ndarray) -> None:
        """Register raw messages as ham or spam by their labels (N,) 0/1; may be called again for more."""
        labels = np.asarray(spam)
        for label, option in ((0, "-n"), (1, "-s")):
            members = np.flatnonzero(labels == label)
            for start in range(0, len(members), _BATCH):
                with self._files([raws[i] for i in members[start : start + _BATCH]]) as names:
                    self._run(option, names=names)

    def score(self, raws: Sequence[bytes]) -> np.ndarray:
        """Spamicity (N,) 0-1 of raw messages, in order."""
        found: list[float] = []
        for start in range(0, len(raws), _BATCH):
            batch = raws[start : start + _BATCH]
            with self._files(batch) as names:
                lines = self._run("-TT", names=names).splitlines()
            if len(lines) != len(batch):
                raise TrainerError(f"{PROGRAM} answered {len(lines)} lines for {len(batch)} messages")
            found += [float(line.rsplit(None, 1)[-1]) for line in lines]
        return np.array(found)

    @contextmanager
    def _files(self, raws: Sequence[bytes]) -> Iterator[list[str]]:
        with tempfile.TemporaryDirectory(dir=self._folder.name, prefix="mails-") as folder:
            names = []
            for number, raw in enumerate(raws):
                path = Path(folder) / f"{number:06d}"
                path.write_bytes(without_verdicts(raw))
                names.append(str(path))
            yield names

    def _run(self, option: str, *, names: Sequence[str]) -> str:
        done = subprocess.run(
            [self._program, "-C", "-d", str(Path(self._folder.name) / "words"), option, "-b"],
            input="".join(f"{name}\n" for name in names),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in _SUCCESS:
            raise TrainerError(f"{PROGRAM} {option} -b ended with {done.returncode}: {done.stderr.strip()[:300]}")
        return done.stdout


def without_verdicts(raw: bytes) -> bytes:
    """The message less header fields that are a filter's verdict, folded lines included."""
    end = body_offset(raw)
    kept, dropping = [], False
    for line in raw[:end].splitlines(keepends=True):
        if line[:1] not in (b" ", b"\t"):
            dropping = is_forged(line.partition(b":")[0])
        if not dropping:
            kept.append(line)
    return b"".join(kept) + raw[end:]
