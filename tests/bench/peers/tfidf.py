"""TF-IDF and logistic regression behind a small Python server (`tfidf_server`): a mail a request, and many at once."""

from __future__ import annotations

import http.client
import importlib.metadata
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.__main__ import ROOT
from tests.bench.mails import Mail
from tests.bench.peers.process import Server, answers, free_port
from tests.bench.race import Absent

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Learner:
    """The server, shared by both kinds of use."""

    def __init__(self, folder: Path, learns: Sequence[Mail]) -> None:
        self._folder = folder / "tfidf"
        self._learns = learns
        self.server: Server | None = None

    def start(self) -> int:
        """Its port, once it has learnt. Raises Absent."""
        if importlib.util.find_spec("sklearn") is None:
            raise Absent("not installed: pip install scikit-learn")
        if self.server is None:
            self._folder.mkdir()
            self.port = free_port()
            rows = self._folder / "learn.tsv"
            rows.write_text("".join(f"{'spam' if m.spam else 'ham'}\t{m.path}\n" for m in self._learns), "utf-8")
            command = [sys.executable, "-m", "tests.bench.peers.tfidf_server", str(rows), str(self.port)]
            self.server = Server(command, self._folder, environment={**_ONE_THREAD, "PYTHONPATH": str(ROOT)})
            self.server.wait_until(lambda: answers(self.port), 300)
        return self.port

    def about(self) -> str:
        """Version, and what it has learnt from."""
        version = importlib.metadata.version("scikit-learn")
        return f"scikit-learn {version}, words and pairs, stdlib email, fitted on {len(self._learns)} other mails"

    def stop(self) -> None:
        """End the server; a second call does nothing."""
        if self.server is not None:
            self.server.stop()
            self.server = None


class _Use:
    def __init__(self, learner: Learner) -> None:
        self.how = ""
        self._learner = learner

    def start(self) -> None:
        """Learn, unless it is done."""
        port = self._learner.start()
        self.how = self._learner.about()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def _ask(self, path: str, body: bytes, expected: int) -> None:
        self._connection.request("POST", path, body)
        answer = self._connection.getresponse().read()
        if answer.count(b"\n") != expected:
            raise Absent(f"the server answered {answer[:100]!r}")

    def pids(self) -> list[int]:
        """The server's; it has not given back what learning took."""
        return self._learner.server.pids() if self._learner.server else []

    def stop(self) -> None:
        """End the server for both."""
        self._learner.stop()


class OneByOne(_Use):
    """A request a mail over one connection."""

    name = "TF-IDF + LR, HTTP"

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """One after the other."""
        self._connection.close()  # a single-threaded server serves one connection at a time
        took = []
        for mail in mails:
            started = time.perf_counter()
            self._ask("/one", mail.raw, 1)
            took.append(1e3 * (time.perf_counter() - started))
        self._connection.close()
        return took


class Batch(_Use):
    """A round's mails in one call, read from their files in the process that has the model."""

    name = "TF-IDF + LR, batch"

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """All at once."""
        self._ask("/many", "".join(f"{mail.path}\n" for mail in mails).encode(), len(mails))
        self._connection.close()
        return []
