"""Another model takes over in a running daemon: no connection is dropped, no message fails, each says who judged it."""

from __future__ import annotations

import re
import shutil
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spamfilter.bundles import Bundles, is_whole
from spamfilter.classifier.bundle import MANIFEST, Bundle, default_bundle, open_bundle, write_manifest
from tests.__main__ import ROOT
from tests.e2e.daemon import ServedDaemon, serving
from tests.e2e.sink import RecordingSink
from tests.learners import remembered

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CLIENTS = 4
WITHIN_S = 60.0
_MODEL = re.compile(rb"^X-Spam-Checker-Version: spamfilter \S+ \(model (\S+)\)", re.M)
_MAIL = (ROOT / "examples" / "messages" / "ham-html.eml").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.fixture
def other(tmp_path: Path) -> Bundle:
    """The shipped bundle under another name."""
    folder = tmp_path / "other"
    shutil.copytree(default_bundle(), folder)
    manifest = open_bundle(folder).manifest
    content = {
        key: value for key, value in manifest.items() if key not in ("format", "model_id", "extraction", "files")
    }
    (folder / MANIFEST).unlink()
    return write_manifest(folder, "other", content)


def model(daemon: ServedDaemon, *arguments: str | Path) -> str:
    """`spamfilter model ...` in a process of its own."""
    command = [sys.executable, "-m", "spamfilter", "model", *map(str, arguments), "--state-dir", str(daemon.state_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def _memory(daemon: ServedDaemon, model_id: str) -> Path:
    return daemon.state_dir / f"memory-{model_id}.npz"


def judges(sink: RecordingSink, since: int = 0) -> list[str]:
    """Which model each message names, in the order of arrival; each must name one."""
    named = [_MODEL.findall(raw) for raw in [*sink.received[since:]]]
    assert all(len(one) == 1 for one in named), named
    return [one[0].decode() for one in named]


class Client(threading.Thread):
    """One connection that is never closed, and message after message on it. `replies` has every answer to a message."""

    def __init__(self, port: int, ended: threading.Event) -> None:
        super().__init__()
        self.replies: list[int] = []
        self.trouble: Exception | None = None
        self._port, self._ended = port, ended

    def run(self) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", self._port, timeout=WITHIN_S) as connection:
                connection.ehlo()
                while not self._ended.is_set():
                    connection.mail("alice@example.org")
                    connection.rcpt("bob@example.net")
                    number = b"%d-%d" % (self.ident or 0, len(self.replies))  # no two are the same text
                    self.replies.append(connection.data(_MAIL + b"number %s\r\n" % number)[0])
        except (OSError, smtplib.SMTPException) as error:
            self.trouble = error


@contextmanager
def load(daemon: ServedDaemon) -> Iterator[list[Client]]:
    ended = threading.Event()
    clients = [Client(daemon.port, ended) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        ended.set()
        for client in clients:
            client.join()


def test_an_activation_under_load_is_not_noticed_but_in_the_header(tmp_path: Path, other: Bundle) -> None:
    shipped = open_bundle(default_bundle()).model_id
    with RecordingSink() as sink, serving(tmp_path / "house", {"smtp": {"next_hop": sink.address}}) as daemon:
        workers = {process.pid for process in daemon.processes()[1:]}
        model(daemon, "install", other.path, "--as", "other")
        with load(daemon) as clients:
            until(lambda: len(sink.received) > 20, "no mail passes")
            said = model(daemon, "activate", "other", "--why", "a trial")
            assert f"process {daemon.processes()[0].pid} takes it over" in said
            until(lambda: other.model_id in judges(sink), "the new model never speaks")
            seen = len(sink.received)
            until(lambda: len(sink.received) > seen + 20 and judges(sink)[-1] == other.model_id, "the old one stays")
            model(daemon, "rollback")
            until(lambda: judges(sink)[-1] == shipped, "the old model never speaks again")
        assert [client.trouble for client in clients] == [None] * CLIENTS
        replies = [reply for client in clients for reply in client.replies]
        assert set(replies) == {250}
        assert len(sink.received) == len(replies)
        named = judges(sink)
        assert (set(named), named[0], named[-1]) == ({shipped, other.model_id}, shipped, shipped)
        assert not any(b"unscanned" in raw for raw in sink.received)
        until(lambda: len(daemon.processes()) == 1 + len(workers), "old workers are left")
        assert daemon.log().count("model.activated") == 2
        assert daemon.stop() == 0


def test_what_people_taught_is_known_before_during_and_after_a_change(tmp_path: Path, other: Bundle) -> None:
    shipped = open_bundle(default_bundle()).model_id
    with RecordingSink() as sink, serving(tmp_path / "house", {"smtp": {"next_hop": sink.address}}) as daemon:
        lesson = daemon.state_dir / "learn" / "spam" / "lesson.eml"
        lesson.write_bytes(_MAIL)
        until(lambda: remembered(daemon.state_dir, shipped), "nothing is learned")  # the file is there from the start
        time.sleep(0.3)  # workers look for a new memory every 0.2 s
        model(daemon, "install", other.path, "--as", "other")
        with load(daemon) as clients:
            until(lambda: len(sink.received) > 10, "no mail passes")
            model(daemon, "activate", "other")
            until(lambda: judges(sink)[-1] == other.model_id, "the new model never speaks")
            seen = len(sink.received)
            until(lambda: len(sink.received) > seen + 10, "no mail passes")
            model(daemon, "rollback")
            until(lambda: judges(sink)[-1] == shipped, "the old model never speaks again")
        assert [client.trouble for client in clients] == [None] * CLIENTS
        assert set(judges(sink)) == {shipped, other.model_id}
        recalled = [b"RECALLED_SPAM" in raw for raw in sink.received]
        assert all(recalled), [*zip(judges(sink), recalled, strict=True)]  # who forgot, and when
        assert _memory(daemon, shipped).exists() and _memory(daemon, other.model_id).exists()
        assert daemon.log().count("memory.prepared") == 2


def test_a_daemon_that_is_killed_while_it_changes_comes_back_with_the_new_model(tmp_path: Path, other: Bundle) -> None:
    with RecordingSink() as sink, serving(tmp_path / "house", {"smtp": {"next_hop": sink.address}}) as daemon:
        registry = Bundles(daemon.state_dir, check=is_whole)
        registry.activate(registry.install(other.path), "", "a test")
        time.sleep(1.2)  # the watch looks once a second: it is at work, or about to be
        daemon.kill()
        assert daemon.orphans() == []
        daemon.start()
        with load(daemon):
            until(lambda: len(sink.received) > 3, "no mail passes")
        assert set(judges(sink)) == {other.model_id}


def test_a_damaged_model_neither_takes_over_nor_keeps_a_daemon_from_starting(tmp_path: Path, other: Bundle) -> None:
    shipped = open_bundle(default_bundle()).model_id
    with RecordingSink() as sink, serving(tmp_path / "house", {"smtp": {"next_hop": sink.address}}) as daemon:
        registry = Bundles(daemon.state_dir, check=lambda path: None)
        name = registry.install(other.path)
        graph = registry.path(name) / "gpt.onnx"
        whole = graph.read_bytes()
        graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with load(daemon) as clients:
            registry.activate(name, "unchecked", "a test")
            until(lambda: registry.link() == "default", "the refused model is not withdrawn")
            seen = len(sink.received)
            until(lambda: len(sink.received) > seen + 5, "no mail passes")
        assert [client.trouble for client in clients] == [None] * CLIENTS
        assert "model.refused" in daemon.log()
        assert "does not match the manifest" in registry.history()[-1].why
        daemon.stop()
        registry.activate(name, "unchecked again", "a test")
        daemon.start()
        with load(daemon):
            seen = len(sink.received)
            until(lambda: len(sink.received) > seen + 3, "no mail passes")
        assert set(judges(sink)) == {shipped}
        assert daemon.log().count("model.refused") == 2
