"""Released mail: to every recipient or to none, in the quarantine until it is taken, and never lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spamfilter import config, headers
from spamfilter.config import Config
from spamfilter.headers import Markup
from spamfilter.message import Envelope, Message
from spamfilter.policy import Policy, decide
from spamfilter.release import Release, ReleaseError
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.history import History
from spamfilter.store.kept import KeptMail, kept_message
from spamfilter.store.maildir import Maildir
from spamfilter.store.quarantine import QuarantineError
from spamfilter.verdict import Disposition
from tests.e2e.sink import RecordingSink
from tests.fakes import THRESHOLDS, score
from tests.frontends.smtp.scripted_hop import Do, ScriptedHop

RAW = b"From: a@example.org\r\nSubject: win\r\n\r\n.a line with a dot\r\n..two\r\nend\r\n"
RECEIVED = b"Received: from client by mx.test\r\n"
ID = "0123456789abcdef"


def _config(tmp_path: Path, next_hop: str = "", **overrides: object) -> Config:
    return config.load(None, environ={}, state_dir=str(tmp_path), smtp__next_hop=next_hop, **overrides)


def _quarantine(
    tmp_path: Path,
    *,
    sender: str = "a@example.org",
    parameters: tuple[str, ...] = ("BODY=8BITMIME", "SIZE=77", "RET=HDRS", "XODD=1"),
    recipients: tuple[str, ...] = ("b@example.net", "c@example.net"),
) -> None:
    """A message as the relay keeps it back, with its decision."""
    message = Message(RAW, "smtp", Envelope(sender, recipients), id=ID)
    decision = decide(ID, score(0.99), Policy(THRESHOLDS))
    store = DecisionStore(store_url("", tmp_path))
    store.open()
    store.record(message, decision)
    store.settle(decision, Disposition.QUARANTINED)
    store.close()
    maildir = Maildir(tmp_path / "quarantine", "mx.test")
    maildir.prepare()
    envelope = {
        "mail_from": sender,
        "mail_parameters": list(parameters),
        "rcpt_tos": [{"address": to, "parameters": ["NOTIFY=NEVER"]} for to in recipients],
    }
    maildir.deliver(ID, (RECEIVED, headers.mark(message, decision, Markup("mx.test"))), envelope=envelope)


def _disposition(tmp_path: Path) -> tuple[str, str | None]:
    with History(store_url("", tmp_path)) as history:
        found = history.get(ID)
    return found.disposition, found.disposition_detail


def _held(tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path / "quarantine")).partition(".")[0]
                  for path in (tmp_path / "quarantine").rglob("*") if path.is_file())  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[None]:
    """That the message is still in the quarantine at the end of the test, with its envelope, and the log says so."""
    yield
    assert len(_held(tmp_path)) == 2
    assert _disposition(tmp_path)[0] == "quarantined"


async def test_to_the_next_hop_with_the_envelope_it_came_with(tmp_path: Path) -> None:
    _quarantine(tmp_path)
    async with ScriptedHop() as hop:
        release = Release(_config(tmp_path, f"127.0.0.1:{hop.port}"))
        done = await asyncio.to_thread(release.release, ID, "alice")
    [message] = hop.messages
    assert message.content == RECEIVED + RAW
    assert message.mail == b"MAIL FROM:<a@example.org> BODY=8BITMIME RET=HDRS"
    assert message.rcpts == [b"RCPT TO:<b@example.net> NOTIFY=NEVER", b"RCPT TO:<c@example.net> NOTIFY=NEVER"]
    assert (done.disposition, done.detail) == (
        Disposition.RELEASED, "250 2.0.0 First line 2.0.0 Ok: queued as HOP42 (by alice)"
    )  # fmt: skip
    assert _disposition(tmp_path) == ("released", done.detail)
    assert _held(tmp_path) == []
    with pytest.raises(QuarantineError, match="it was released or deleted"):
        release.release(ID, "bob")


def test_into_the_local_maildir_where_there_is_no_next_hop(tmp_path: Path) -> None:
    _quarantine(tmp_path, sender="")
    Release(_config(tmp_path)).release(ID, "alice")
    [delivered] = (tmp_path / "Maildir" / "new").iterdir()
    assert delivered.read_bytes() == b"Return-Path: <>\r\n" + RECEIVED + RAW
    assert _disposition(tmp_path)[0] == "released"
    assert _held(tmp_path) == []


def test_over_a_unix_socket(tmp_path: Path) -> None:
    _quarantine(tmp_path)

    async def released() -> ScriptedHop:
        hop = ScriptedHop()
        async with hop:
            path = tmp_path / "hop.sock"
            server = await asyncio.start_unix_server(hop._serve, path)
            await asyncio.to_thread(Release(_config(tmp_path, f"unix:{path}")).release, ID, "alice")
            server.close()
        return hop

    assert len(asyncio.run(released()).messages) == 1


async def test_addresses_beyond_ascii(tmp_path: Path) -> None:
    _quarantine(tmp_path, sender="jörg@example.org", parameters=("SMTPUTF8",), recipients=("β@example.net",))
    async with ScriptedHop() as hop:
        await asyncio.to_thread(Release(_config(tmp_path, f"127.0.0.1:{hop.port}")).release, ID, "alice")
    assert hop.messages[0].mail == "MAIL FROM:<jörg@example.org> SMTPUTF8".encode()
    assert hop.messages[0].rcpts == ["RCPT TO:<β@example.net> NOTIFY=NEVER".encode()]


async def test_a_next_hop_that_takes_only_ascii(tmp_path: Path, kept: None) -> None:
    _quarantine(tmp_path, sender="jörg@example.org", parameters=("SMTPUTF8",))
    async with ScriptedHop({"EHLO": b"250 hop.test"}) as hop:
        release = Release(_config(tmp_path, f"127.0.0.1:{hop.port}"))
        with pytest.raises(ReleaseError, match="takes no addresses beyond ASCII; the message stays"):
            await asyncio.to_thread(release.release, ID, "alice")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"CONNECT": b"554 5.7.1 Go away"}, "554 5.7.1 Go away"),
        ({"MAIL": b"451 4.7.1 Later"}, "451 4.7.1 Later"),
        ({"RCPT": [b"250 ok", b"550 5.1.1 No such user"]}, "for <c@example.net>: 550 5.1.1 No such user"),
        ({"DATA": b"452 4.3.1 Full"}, "452 4.3.1 Full"),
        ({"DATA": b"250 ok"}, "250 ok"),
        ({"DOT": b"554 5.6.0 Spam"}, "554 5.6.0 Spam"),
        ({"CONNECT": Do.RESET}, "stays in the quarantine"),
        ({"RCPT": Do.CLOSE}, "stays in the quarantine$"),
        ({"DOT": Do.CLOSE}, "stays in the quarantine; it may have been delivered nevertheless"),
    ],
)
async def test_what_the_next_hop_does_not_take_stays(
    tmp_path: Path, kept: None, steps: dict[str, object], words: str
) -> None:
    _quarantine(tmp_path)
    async with ScriptedHop(steps) as hop:  # type: ignore[arg-type]
        release = Release(_config(tmp_path, f"127.0.0.1:{hop.port}"))
        with pytest.raises(ReleaseError, match=words):
            await asyncio.to_thread(release.release, ID, "alice")


async def test_a_next_hop_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path, kept: None) -> None:
    _quarantine(tmp_path)
    async with ScriptedHop({"DOT": Do.HANG}) as hop:
        settings = _config(tmp_path, f"127.0.0.1:{hop.port}", smtp__final_timeout_s=0.3)
        with pytest.raises(ReleaseError, match=r"timed out; .*it may have been delivered"):
            await asyncio.to_thread(Release(settings).release, ID, "alice")


async def test_a_farewell_that_fails_does_not_undo_what_was_taken(tmp_path: Path) -> None:
    _quarantine(tmp_path)
    async with ScriptedHop({"QUIT": b"500 What?"}) as hop:
        await asyncio.to_thread(Release(_config(tmp_path, f"127.0.0.1:{hop.port}")).release, ID, "alice")
    assert _disposition(tmp_path)[0] == "released"


def test_no_next_hop_there(tmp_path: Path, kept: None) -> None:
    _quarantine(tmp_path)
    with RecordingSink() as sink:
        port = sink.port
    with pytest.raises(ReleaseError, match=rf"next hop 127\.0\.0\.1:{port}: Connection refused; the message stays"):
        Release(_config(tmp_path, f"127.0.0.1:{port}")).release(ID, "alice")


def test_a_disk_that_is_full(tmp_path: Path, kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _quarantine(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReleaseError, match="could not be delivered: No space left on device; it stays"):
        Release(_config(tmp_path)).release(ID, "alice")
    monkeypatch.undo()


def test_many_at_once_release_it_once(tmp_path: Path) -> None:
    _quarantine(tmp_path)

    async def all_at_once() -> list[object]:
        with RecordingSink(slowest_s=0.2) as sink:
            release = Release(_config(tmp_path, sink.address))
            tries = [asyncio.to_thread(release.release, ID, f"person {number}") for number in range(8)]
            outcomes: list[object] = await asyncio.gather(*tries, return_exceptions=True)
        assert len(sink.received) == 1
        return outcomes

    outcomes = asyncio.run(all_at_once())
    refused = [outcome for outcome in outcomes if isinstance(outcome, QuarantineError)]
    assert len(refused) == len(outcomes) - 1


def test_deleted_is_deleted(tmp_path: Path) -> None:
    _quarantine(tmp_path)
    keeper = KeptMail(tmp_path / "kept", 7)
    keeper.open()
    keeper.keep(Message(RAW, "smtp", id=ID))
    keeper.close()
    done = Release(_config(tmp_path)).delete(ID, "alice")
    assert kept_message(tmp_path / "kept", ID, datetime.now(UTC)) is None
    assert done.disposition is Disposition.DELETED
    assert _disposition(tmp_path) == ("deleted", "by alice")
    assert _held(tmp_path) == []


def test_a_message_whose_decision_is_forgotten_can_be_released(tmp_path: Path) -> None:
    _quarantine(tmp_path)
    (tmp_path / "decisions.sqlite3").unlink()
    Release(_config(tmp_path)).release(ID, "alice")
    assert _held(tmp_path) == []
