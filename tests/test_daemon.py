"""The daemon as a whole: the order of start and stop, signals, refusals to start, and mail from end to end."""

from __future__ import annotations

import asyncio
import errno
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from spamfilter import daemon as composition
from spamfilter.config import Config
from spamfilter.daemon import Daemon, StartError, notify
from spamfilter.state_dir import StateDir, StateDirError
from spamfilter.store.database import store_url
from spamfilter.store.history import Filter, History, LoggedDecision
from tests.serving import StartableEngine, daemon, settings

MAIL = b"Subject: lunch\r\nX-Spam-Flag: YES\r\n\r\nat noon?\r\n"
SPAM = b"Subject: buy\r\n\r\nVIAGRA now\r\n"


class Part:
    """A frontend that notes its life, and does as told."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes
        self.refuses: Exception | None = None
        self.hangs = False
        self.graces: list[float] = []
        self.stopping = asyncio.Event()

    async def start(self) -> None:
        self.notes.append(f"start {self.name}")
        if self.refuses:
            raise self.refuses

    async def stop(self, grace_s: float) -> None:
        self.notes.append(f"stop {self.name}")
        self.graces.append(grace_s)
        self.stopping.set()
        if self.hangs and grace_s:
            await asyncio.Event().wait()


class Stage:
    """A daemon whose parts are all scripted."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notes: list[str] = []
        self.smtp, self.folder = Part("smtp", self.notes), Part("folder", self.notes)
        parts = [("smtp", self.smtp), ("folder", self.folder)]
        monkeypatch.setattr(composition, "_frontends", lambda config, scanner: iter(parts))
        self.daemon = daemon(settings(tmp_path), StartableEngine(self.notes))
        monkeypatch.setattr(self.daemon.log, "open", self._noting("open log", self.daemon.log.open))
        monkeypatch.setattr(self.daemon.log, "close", self._noting("close log", self.daemon.log.close))

    def _noting(self, note: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            self.notes.append(note)
            return call(*args)

        return noted


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


async def test_the_order_is_as_written(stage: Stage) -> None:
    await stage.daemon.run(lambda served: served.request_stop())
    assert stage.notes[:4] == ["open log", "start engine", "start smtp", "start folder"]
    assert sorted(stage.notes[4:6]) == ["stop folder", "stop smtp"]
    assert stage.notes[6:] == ["stop engine", "close log"]
    assert 19 < stage.smtp.graces[0] <= 20


async def test_what_was_started_is_stopped_when_a_later_part_refuses(stage: Stage) -> None:
    stage.folder.refuses = OSError(errno.EACCES, "Permission denied")
    with pytest.raises(StartError, match=r"folder\.path .*Permission denied.*; set folder\.path"):
        await stage.daemon.run()
    assert stage.notes[-3:] == ["stop smtp", "stop engine", "close log"]
    assert "stop folder" not in stage.notes


async def test_a_signal_while_starting_ends_the_start(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless() -> None:
        stage.daemon.request_stop()
        await asyncio.Event().wait()

    monkeypatch.setattr(stage.smtp, "start", endless)
    with pytest.raises(StartError, match="stopped while smtp was starting"):
        await stage.daemon.run()
    assert stage.notes[-3:] == ["stop smtp", "stop engine", "close log"]


async def test_a_second_request_does_not_wait_for_what_is_in_work(stage: Stage) -> None:
    stage.smtp.hangs = True

    async def second() -> None:
        await stage.smtp.stopping.wait()
        stage.daemon.request_stop()

    hurrying: list[asyncio.Task[None]] = []

    def ready(served: Daemon) -> None:
        served.request_stop()
        hurrying.append(asyncio.create_task(second()))

    async with asyncio.timeout(10):
        await stage.daemon.run(ready)
        await hurrying[0]
    assert stage.smtp.graces[1:] == [0.0]
    assert stage.notes[-2:] == ["stop engine", "close log"]


async def test_a_part_that_fails_to_stop_does_not_keep_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(grace_s: float) -> None:
        raise RuntimeError("stuck")

    monkeypatch.setattr(stage.smtp, "stop", broken)
    with capture_logs() as logs:
        await stage.daemon.run(lambda served: served.request_stop())
    assert [entry["part"] for entry in logs if entry["event"] == "failed_to_stop"] == ["smtp"]
    assert stage.notes[-2:] == ["stop engine", "close log"]


async def test_two_daemons_do_not_share_a_state_dir(stage: Stage, tmp_path: Path) -> None:
    with StateDir(tmp_path), pytest.raises(StateDirError, match="in use by another spamfilter"):
        await stage.daemon.run()
    assert stage.notes == []


async def test_the_service_manager_is_told(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        await stage.daemon.run(lambda served: served.request_stop())
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_a_service_manager_that_is_gone_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with capture_logs() as logs:
        notify("READY=1")
    assert logs[0]["event"] == "service_manager_not_told"


async def test_nothing_to_serve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"nothing to serve: set smtp\.enabled or folder\.enabled"):
        daemon(settings(tmp_path, smtp__enabled=False, folder__enabled=False))


async def test_a_port_in_use_names_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        served = daemon(settings(tmp_path, smtp__listen=f"127.0.0.1:{port}"))
        with pytest.raises(StartError, match=rf"smtp\.listen 127\.0\.0\.1:{port} is in use .*--set smtp\.listen="):
            await served.run()


def _deliver(address: object, *mails: bytes) -> None:
    host, _, port = str(address).rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=20) as client:
        for mail in mails:
            client.sendmail("alice@example.org", ["bob@example.net"], mail)


def _logged(config: Config, where: Filter | None = None) -> list[LoggedDecision]:
    with History(store_url(config.store.url, config.state_dir)) as history:
        return history.page(where)


async def test_mail_goes_through_and_is_logged(tmp_path: Path) -> None:
    loaded = settings(tmp_path / "state", folder__settle_s=0.0, folder__rescan_s=0.05)
    served = daemon(loaded)
    ready = asyncio.Event()
    running = asyncio.create_task(served.run(lambda _: ready.set()))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        running.result()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700

    await asyncio.to_thread(_deliver, served.frontends["smtp"].address, MAIL, SPAM)  # type: ignore[attr-defined]
    delivered = [file.read_bytes() for file in (tmp_path / "state" / "Maildir" / "new").iterdir()]
    assert sorted(mail.count(b"X-Spam-Flag: YES") for mail in delivered) == [0, 1]
    assert all(b"X-Spam-Status: " in mail for mail in delivered)

    (tmp_path / "state" / "folder" / "in" / "note.txt").write_bytes(b"VIAGRA for you")
    published = tmp_path / "state" / "folder" / "spam"
    while not (published.is_dir() and list(published.iterdir())):  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # a folder has no event to wait for

    served.request_stop()
    await running
    log = _logged(loaded)
    assert sorted((one.channel, one.label, one.disposition) for one in log) == [
        ("folder", "spam", "delivered"),
        ("smtp", "ham", "delivered"),
        ("smtp", "spam", "delivered"),
    ]


class Process:
    """A daemon in a process of its own."""

    def __init__(self, state_dir: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving", f"state_dir={state_dir}", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.address = line.split()[1]

    def end(self, *numbers: int) -> str:
        """Send signals; the log, when it has ended well."""
        for number in numbers:
            self.process.send_signal(number)
        _, log = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, log
        return log


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*arguments: str) -> Process:
        started.append(Process(tmp_path / "state", *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_well(serve: Callable[..., Process], number: int) -> None:
    assert '"event": "stopped"' in serve().end(number)


def test_a_killed_daemon_starts_again_on_what_it_left(serve: Callable[..., Process], tmp_path: Path) -> None:
    first = serve()
    _deliver(first.address, MAIL)
    first.process.kill()
    first.process.wait()
    second = serve()
    _deliver(second.address, SPAM)
    second.end(signal.SIGTERM)
    assert len(list((tmp_path / "state" / "Maildir" / "new").iterdir())) == 2
    assert _logged(settings(tmp_path / "state"), Filter(label="spam"))[0].disposition == "delivered"


def test_mail_in_work_is_finished_before_the_end(serve: Callable[..., Process], tmp_path: Path) -> None:
    served = serve()
    host, _, port = served.address.rpartition(":")
    client = smtplib.SMTP(host, int(port), timeout=20)
    client.ehlo()
    client.mail("alice@example.org")
    client.rcpt("bob@example.net")
    client.putcmd("data")
    assert client.getreply()[0] == 354
    client.send(MAIL[:20])
    served.process.send_signal(signal.SIGTERM)
    assert served.process.stderr is not None
    for line in served.process.stderr:
        if '"event": "stopping"' in line:
            break
    client.send(MAIL[20:] + b".\r\n")
    code, _ = client.getreply()
    client.close()
    served.end()
    assert (code, len(list((tmp_path / "state" / "Maildir" / "new").iterdir()))) == (250, 1)
    assert _logged(settings(tmp_path / "state"))[0].disposition == "delivered"
