"""What strangers send, fed to the real daemon: each gets a clear verdict or a clear error, and the daemon lives on."""

from __future__ import annotations

import random
import smtplib
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import BinaryIO

import pytest

from spamfilter.store.database import store_url
from spamfilter.store.history import Filter, History, LoggedDecision
from spamfilter.verdict import Disposition, FailureKind
from tests.e2e.daemon import ServedDaemon, serving
from tests.e2e.sink import RecordingSink
from tests.hostile import mails

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MOST_RSS_MIB = 1024
RANDOM_FILES = 1000
_PATIENCE_S = 300  # nothing here is about speed
ORDINARY = mails.samples()["ham-html.eml"].replace(b"\n", b"\r\n")


def hostile() -> Iterator[tuple[str, bytes]]:
    """Every small hostile mail, one that is cut at many places, and a declared charset that nobody knows."""
    for name, make in mails.MAILS.items():
        yield name, make()
    for cut in mails.truncations(ORDINARY, 200):
        yield f"cut at {len(cut)}", cut
    yield "charset unknown", mails.mail("text/plain; charset=x-klingon-8", bytes(range(128, 256)))
    # servers are known to answer the end of these with 500, and their line is one of 1.3 MB
    to_many = b", ".join(b"user%d@example.net" % number for number in range(50_000))
    yield "50,000 recipients in one line", b"To: " + to_many + b"\r\n" + mails.HEAD + b"\r\nHi.\r\n"


class Relay:
    """A daemon and the next hop behind it."""

    def __init__(self, daemon: ServedDaemon, sink: RecordingSink) -> None:
        self.daemon, self.sink = daemon, sink
        self._log = store_url("", daemon.state_dir)

    @contextmanager
    def after_data(self) -> Iterator[tuple[socket.socket, BinaryIO]]:
        """A connection that was told to go on with its message, and its replies."""
        with (
            socket.create_connection(("127.0.0.1", self.daemon.port), timeout=_PATIENCE_S) as connection,
            connection.makefile("rb") as replies,
        ):
            reply(replies)
            for line in (b"EHLO bad.example.com", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.net>", b"DATA"):
                connection.sendall(line + b"\r\n")
                code, text = reply(replies)
                assert code < 400, text
            yield connection, replies

    def send(self, content: bytes) -> tuple[int, bytes]:
        """The reply to the final dot behind these bytes, which are empty or end with CRLF."""
        stuffed = (b"." if content[:1] == b"." else b"") + content.replace(b"\r\n.", b"\r\n..")
        with self.after_data() as (connection, replies):
            connection.sendall(stuffed + b".\r\n")
            return reply(replies)

    def logged(self, where: Filter, count: int = 1) -> list[LoggedDecision]:
        """These decisions, as soon as the log has that many, all settled."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            with History(self._log) as history:
                rows = history.page(where, limit=10_000)
            if len(rows) >= count and all(row.disposition != Disposition.PENDING for row in rows):
                return rows
            assert time.monotonic() < deadline, f"{len(rows)} decisions of {count}"
            time.sleep(0.02)  # the log is written behind

    def still_well(self) -> None:
        """An ordinary mail is scanned and relayed, and memory is bounded."""
        before = len(self.sink.received)
        assert self.send(ORDINARY)[0] == 250
        [arrived] = self.sink.received[before:]
        assert b"\r\nX-Spam-Status: No, score=" in arrived
        assert arrived.endswith(ORDINARY.partition(b"\r\n\r\n")[2])
        daemon, *workers = self.daemon.rss_mib()
        print(f"RSS: daemon {daemon:.0f} MiB, worker {sum(workers):.0f} MiB")
        assert len(workers) == 1
        assert daemon + sum(workers) < MOST_RSS_MIB


def reply(replies: BinaryIO) -> tuple[int, bytes]:
    """The next reply: its code, and all of its lines."""
    text = b""
    for line in replies:
        text += line
        if line[3:4] == b" ":
            return int(line[:3]), text
    raise AssertionError(f"connection closed after {text!r}")


def has_bare_newlines(content: bytes) -> bool:
    """True when CR or LF stands on its own."""
    return not content.count(b"\n") == content.count(b"\r") == content.count(b"\r\n")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """One daemon for all of it: it has to live through everything in any order."""
    with (
        RecordingSink() as sink,
        serving(tmp_path_factory.mktemp("bad-input"), {"smtp": {"next_hop": sink.address}}) as daemon,
    ):
        yield Relay(daemon, sink)
        log = daemon.log()
        assert daemon.stop() == 0
    assert "Traceback" not in log
    assert log.count("worker_ready") == 1, "a worker was lost"


def test_hostile_mail_gets_a_verdict_or_an_error(relay: Relay) -> None:
    slowest, labels = (0.0, ""), Counter[str]()
    for name, raw in hostile():
        content = raw if raw.endswith(b"\r\n") or not raw else raw + b"\r\n"
        before, started = len(relay.sink.received), time.monotonic()
        code, text = relay.send(content)
        slowest = max(slowest, (time.monotonic() - started, name))
        if has_bare_newlines(content):
            assert (code, text[:9]) == (554, b"554 5.6.0"), name
            assert len(relay.sink.received) == before, name
            labels["refused"] += 1
            continue
        assert code == 250, f"{name}: {text!r}"
        [arrived] = relay.sink.received[before:]
        assert arrived.endswith(content), name
        assert b"\r\nX-Spam-" in arrived[:4000], name
        row = relay.logged(Filter(sha256=sha256(content).hexdigest()))[0]
        assert row.label is not None, f"{name}: {row.failure} {row.failure_detail}"
        labels[row.label] += 1
    print(f"{dict(labels)}, slowest: {slowest[1]} in {slowest[0]:.2f} s")
    assert labels["refused"], "none has a bare newline: this shows only the half"
    relay.still_well()


def test_mail_of_60_megabytes_is_refused(relay: Relay) -> None:
    content = mails.HUGE["attachment-of-60-mb"]()
    before = len(relay.sink.received)
    with smtplib.SMTP("127.0.0.1", relay.daemon.port, timeout=_PATIENCE_S) as client:
        client.ehlo()
        assert client.mail("a@example.org", [f"SIZE={len(content)}"])[0] == 552
    code, text = relay.send(content)  # and when its size is not declared
    assert (code, text[:9]) == (552, b"552 5.3.4")
    assert len(relay.sink.received) == before
    relay.still_well()


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n"])
def test_nothing_is_smuggled_behind_a_false_end(end: bytes, relay: Relay) -> None:
    second = b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nPay.\r\n"
    before = len(relay.sink.received)
    with relay.after_data() as (connection, replies):
        connection.sendall(mails.HEAD + b"\r\nHello" + end + second + b".\r\n")
        code, text = reply(replies)
        assert (code, text[:9]) == (554, b"554 5.6.0")
        connection.sendall(b"QUIT\r\n")
        assert reply(replies)[0] == 221  # one answer to all that came before
    assert len(relay.sink.received) == before


def test_random_files_all_come_out_of_the_folder(relay: Relay) -> None:
    chance = random.Random(1000)
    folder = relay.daemon.state_dir / "folder"
    huge = mails.HUGE["text-of-60-mb"]()
    sent = {f"r{n}{chance.choice(('.eml', '.txt', '.msg', ''))}": mails.garbage(n) for n in range(RANDOM_FILES)}
    for name, raw in [*sent.items(), ("huge.eml", huge)]:
        hidden = folder / "tmp" / name
        hidden.write_bytes(raw)
        hidden.rename(folder / chance.choice(("in", "new")) / name)
    results = [folder / name for name in ("ham", "unsure", "spam", "failed")]
    deadline = time.monotonic() + _PATIENCE_S
    while len(out := [p for r in results for p in r.iterdir() if p.name[0] != "."]) <= RANDOM_FILES:
        assert time.monotonic() < deadline, f"{len(out)} files came out of {RANDOM_FILES + 1}"
        time.sleep(0.1)  # a folder has no event to wait for
    print(dict(Counter(path.parent.name for path in out)))
    assert sorted(path.name for path in out) == sorted([*sent, "huge.eml"])
    rows = relay.logged(Filter(channel="folder"), RANDOM_FILES + 1)
    assert [row.failure for row in rows if row.label is None] == [FailureKind.TOO_LARGE]
    with (folder / "unsure" / "huge.eml").open("rb") as marked:
        assert b"unscanned" in marked.read(1000)
    cut = [path.name for path in out if path.name in sent and not path.read_bytes().endswith(sent[path.name][-100:])]
    assert cut == []
    relay.still_well()
