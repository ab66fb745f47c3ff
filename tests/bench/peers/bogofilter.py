"""bogofilter with a word list of its own: a process a mail, as procmail runs it, and one process for many files."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.mails import Mail
from tests.bench.peers.process import found, on_file, said
from tests.bench.race import Absent

_PACKAGE = "bogofilter"
_FAILED = 3  # 0, 1, 2: spam, ham, unsure


class WordList:
    """Learnt once from labelled mails; both kinds of use share it. Configuration of host and user is not read."""

    def __init__(self, folder: Path, learns: Sequence[Mail]) -> None:
        self.folder = folder / "bogofilter"
        self._learns = learns

    def command(self) -> list[str]:
        """The program and its word list, which is made on the first call. Raises Absent."""
        command = [found("bogofilter", _PACKAGE), "-C", "-d", str(self.folder)]
        if not self.folder.exists():
            self.folder.mkdir()
            for option, spam in (("-n", False), ("-s", True)):
                names = "".join(f"{mail.path}\n" for mail in self._learns if mail.spam == spam)
                subprocess.run([*command, option, "-b"], input=names, text=True, check=True)
        return command

    def about(self, program: str) -> str:
        """Version, and what the list has learnt."""
        return f"{said(program, '-V')}, word list from {len(self._learns)} other mails"


class Single:
    """One process a mail."""

    name = "bogofilter, process a mail"

    def __init__(self, words: WordList) -> None:
        self.how = ""
        self._words = words

    def start(self) -> None:
        """Learn, unless it is done."""
        self._command = self._words.command()
        self.how = self._words.about(self._command[0])

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """One after the other."""
        took = []
        for mail in mails:
            started = time.perf_counter()
            status = on_file(self._command, mail.path)
            took.append(1e3 * (time.perf_counter() - started))
            if not 0 <= status < _FAILED:
                raise Absent(f"bogofilter ended with status {status}")
        return took

    def pids(self) -> list[int]:
        """None that stays."""
        return []

    def stop(self) -> None:
        """Nothing runs."""


class Bulk:
    """One process a round, which reads the names of the files (`-b`)."""

    name = "bogofilter, bulk"

    def __init__(self, words: WordList) -> None:
        self.how = ""
        self._words = words

    def start(self) -> None:
        """Learn, unless it is done."""
        self._command = self._words.command()
        self.how = f"{self._words.about(self._command[0])}; one process a round (-b)"

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """All at once."""
        names = "".join(f"{mail.path}\n" for mail in mails)
        done = subprocess.run([*self._command, "-b", "-T"], input=names, text=True, capture_output=True, check=False)
        if len(done.stdout.splitlines()) != len(mails):
            raise Absent(f"bogofilter answered {len(done.stdout.splitlines())} lines for {len(mails)} mails")
        return []

    def pids(self) -> list[int]:
        """None that stays."""
        return []

    def stop(self) -> None:
        """Nothing runs."""
