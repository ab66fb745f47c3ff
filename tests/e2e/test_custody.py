"""kill -9 at random instants under load: whatever was answered for is there at the end, at worst twice."""

from __future__ import annotations

import random
import re
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from spamfilter.message import body_offset
from tests.__main__ import ROOT
from tests.e2e.daemon import ServedDaemon
from tests.e2e.sink import RecordingSink

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROUNDS = 5
CLIENTS = 6
_PATIENCE_S = 200  # nothing here is about speed
_TOKEN = re.compile(rb"^X-Custody: (\w+)\r?$", re.M)
_MESSAGES = ROOT / "examples" / "messages"
# quarantined mail is in our custody, too: with these, each 250 is one of both kinds
_TEMPLATES = [(_MESSAGES / name).read_bytes() for name in ("ham-html.eml", "spam-html.eml", "ham-chinese.eml")]


def mail(token: str, newline: bytes = b"\r\n") -> bytes:
    """A message of its own under this token."""
    template = _TEMPLATES[sum(token.encode()) % len(_TEMPLATES)]
    raw = b"X-Custody: %s\n%sYours, %s\n" % (token.encode(), template, token.encode())
    return raw.replace(b"\r\n", b"\n").replace(b"\n", newline)


def tokens_of(messages: Iterable[bytes], newline: bytes = b"\r\n") -> Counter[str]:
    """How often each token's message is there, to the last byte of its body."""
    found: Counter[str] = Counter()
    for raw in messages:
        match = _TOKEN.search(raw)
        assert match, f"a message of nobody's: {raw[:300]!r}"
        token = match[1].decode()
        sent = mail(token, newline)
        assert raw[body_offset(raw) :] == sent[body_offset(sent) :], f"{token}: the body is not what was sent"
        found[token] += 1
    return found


def files_in(*folders: Path) -> list[bytes]:
    """The contents of all files there, hidden ones left out."""
    return [p.read_bytes() for folder in folders if folder.is_dir() for p in folder.iterdir() if p.name[0] != "."]


class Ledger:
    """What the clients were told about their messages."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.in_doubt: list[str] = []
        self._news = threading.Condition()

    def told(self, token: str, *, positive: bool) -> None:
        with self._news:
            (self.acknowledged if positive else self.in_doubt).append(token)
            self._news.notify_all()

    def await_more(self, count: int) -> None:
        """Return when so many more messages were answered 250."""
        with self._news:
            wanted = len(self.acknowledged) + count
            assert self._news.wait_for(lambda: len(self.acknowledged) >= wanted, _PATIENCE_S), "no mail goes through"


class Client(threading.Thread):
    """Sends message after message, each until it is taken, as a mail server does, until `ended` is set."""

    def __init__(self, number: int, daemon: ServedDaemon, ledger: Ledger, ended: threading.Event) -> None:
        super().__init__(name=f"client-{number}")
        self._number, self._port, self._ledger, self._ended = number, daemon.port, ledger, ended
        self._taken = 0

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self._port, timeout=_PATIENCE_S) as connection:
                    while not self._ended.is_set():
                        self._send(connection)
            except (OSError, smtplib.SMTPException):
                self._ended.wait(0.02)  # the daemon is down: try again, as a mail server would

    def _send(self, connection: smtplib.SMTP) -> None:
        connection.ehlo_or_helo_if_needed()
        connection.mail("alice@example.org")
        connection.rcpt("bob@example.net")
        token = f"c{self._number}x{self._taken}"
        code = 0
        try:
            code, _ = connection.data(mail(token))
        finally:
            self._ledger.told(token, positive=code == 250)
        self._taken += code == 250


@contextmanager
def load(daemon: ServedDaemon) -> Iterator[Ledger]:
    """Clients at work within the block; every message has its fate in the ledger behind it."""
    ledger, ended = Ledger(), threading.Event()
    clients = [Client(number, daemon, ledger, ended) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield ledger
    finally:
        ended.set()
        for client in clients:
            client.join()


@pytest.mark.parametrize("where", ["next hop", "Maildir"])
def test_mail_answered_250_has_arrived(where: str, tmp_path: Path) -> None:
    instants = random.Random(f"{where} 1")
    settings = {"folder": {"enabled": False}, "policy": {"spam_at": 0.5, "actions": {"spam": "quarantine"}}}
    with ExitStack() as house:
        if where == "next hop":
            sink = house.enter_context(RecordingSink(slowest_s=0.03))
            settings["smtp"] = {"next_hop": sink.address}
        daemon = house.enter_context(ServedDaemon(tmp_path, settings))
        daemon.start()
        with load(daemon) as ledger:
            for _ in range(ROUNDS):
                ledger.await_more(5)
                time.sleep(instants.uniform(0.0, 0.5))
                daemon.kill()
                assert daemon.orphans() == []
                daemon.start()
            ledger.await_more(5)
        assert daemon.stop() == 0
        arrived = list(sink.received) if where == "next hop" else []
    arrived += files_in(daemon.state_dir / "Maildir" / "new", daemon.state_dir / "quarantine" / "new")
    found = tokens_of(arrived)
    twice = sum(count > 1 for count in found.values())
    print(f"{where}: {len(ledger.acknowledged)} answered 250, {len(ledger.in_doubt)} tries in doubt, {twice} twice")
    assert ledger.in_doubt, "no kill met a message in work: this shows nothing"
    assert files_in(daemon.state_dir / "quarantine" / "new"), "nothing was quarantined: this shows only the half"
    assert [token for token in ledger.acknowledged if not found[token]] == []


class Dropper(threading.Thread):
    """Puts up to `most` files into the folder, in the three ways that are promised to be safe."""

    def __init__(self, folder: Path, ended: threading.Event, most: int) -> None:
        super().__init__(name="dropper")
        self._folder, self._ended, self._most = folder, ended, most
        self.dropped: list[str] = []

    def run(self) -> None:
        while not self._ended.wait(0.002) and len(self.dropped) < self._most:
            token = f"f{len(self.dropped)}"
            raw = mail(token, b"\n")
            if len(self.dropped) % 3 == 0:
                (self._folder / "in" / f"{token}.eml").write_bytes(raw)
            else:
                target = "new" if len(self.dropped) % 3 == 1 else "in"
                hidden = self._folder / "tmp" / token
                hidden.write_bytes(raw)
                hidden.rename(self._folder / target / f"{token}.eml")
            self.dropped.append(token)


def _waiting(folder: Path) -> list[Path]:
    """What is not done yet."""
    return [
        p for name in ("in", "new", "work") for p in (folder / name).rglob("*") if p.is_file() and p.suffix != ".lock"
    ]


def test_files_dropped_are_there_in_the_end(tmp_path: Path) -> None:
    instants = random.Random("folder 1")
    settings = {"smtp": {"enabled": False}, "folder": {"settle_s": 0.05, "rescan_s": 1.0}}
    results = [tmp_path / "state" / "folder" / name for name in ("ham", "unsure", "spam", "failed")]
    folder = results[0].parent
    for name in ("in", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    ended = threading.Event()
    dropper = Dropper(folder, ended, most=2400)
    dropper.start()
    try:
        with ServedDaemon(tmp_path, settings) as daemon:
            met = 0
            for number in range(ROUNDS + 1):
                if number % 3 == 2:  # while it starts, and recovers what the one before left
                    daemon.launch()
                    time.sleep(instants.uniform(0.3, 1.5))
                else:
                    daemon.start()
                    time.sleep(instants.uniform(0.1, 0.6))
                daemon.kill()
                assert daemon.orphans() == []
                met += len(list((folder / "work").rglob("*.eml")))
            ended.set()
            dropper.join()
            daemon.start()
            deadline = time.monotonic() + _PATIENCE_S
            while _waiting(folder):
                assert time.monotonic() < deadline, f"not done: {_waiting(folder)[:5]}"
                time.sleep(0.05)  # a folder has no event to wait for
            assert daemon.stop() == 0
    finally:
        ended.set()
        dropper.join()
    found = tokens_of(files_in(*results), b"\n")
    twice = sum(count > 1 for count in found.values())
    print(f"folder: {len(dropper.dropped)} dropped, {met} met in work, {twice} twice")
    assert met, "no kill met a file in work: this shows nothing"
    assert [token for token in dropper.dropped if not found[token]] == []
    assert [p for result in results for p in result.glob(".*")] == [], "half-written results are left"
    assert list(results[-1].iterdir()) == [], "good mail went to failed/"
