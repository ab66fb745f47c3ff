"""SpamAssassin: spamd with its local rules and one child, asked by the real spamc, a process a mail."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.mails import Mail
from tests.bench.peers.process import Server, answers, found, free_port, on_file, said
from tests.bench.race import Absent

_HAM, _SPAM = 0, 1  # how `spamc -c` exits; with -x everything else is a failure


class SpamAssassin:
    """Configuration of the host is read, that of users is not; no network tests, no Bayes, rules not compiled."""

    name = "spamc -> spamd"

    def __init__(self, folder: Path) -> None:
        self.how = ""
        self._folder = folder / "spamassassin"
        self._server: Server | None = None

    def start(self) -> None:
        """Start spamd, wait for its port."""
        spamd = found("spamd", "spamd spamassassin")
        spamc = found("spamc", "spamc")
        self._folder.mkdir()
        port = free_port()
        home = self._folder / "home"
        home.mkdir(mode=0o777)
        settings = [f"--cf=bayes_path {home}/bayes", "--cf=use_bayes 0"]
        command = [
            spamd,
            "-L",
            "-x",
            "-u",
            "nobody",
            "-m",
            "1",
            "--min-children=1",
            "--max-conn-per-child=100000",
            "-i",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        self._server = Server([*command, "-s", "stderr", "-H", str(home), *settings], self._folder)
        self._server.wait_until(lambda: answers(port), 60)
        self._client = [spamc, "-d", "127.0.0.1", "-p", str(port), "-c", "-x", "-s", "268435456"]
        self.how = f"{said(spamd, '--version')}; spamd -L -x -m 1 (local rules, no Bayes), spamc a process a mail"

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """One spamc after the other."""
        took = []
        for mail in mails:
            started = time.perf_counter()
            status = on_file(self._client, mail.path)
            took.append(1e3 * (time.perf_counter() - started))
            if status not in (_HAM, _SPAM):
                raise Absent(f"spamc ended with status {status}")
        return took

    def pids(self) -> list[int]:
        """spamd and its child."""
        return self._server.pids() if self._server else []

    def stop(self) -> None:
        """End spamd."""
        if self._server:
            self._server.stop()
