"""The bytes of a decided message: found wherever they lie, and never somebody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from spamfilter import config, headers
from spamfilter.correction import content_hash
from spamfilter.headers import Markup
from spamfilter.message import Kind, Message
from spamfilter.policy import Policy, decide
from spamfilter.store.at_hand import NotAtHandError, Places
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.history import History, LoggedDecision
from spamfilter.store.kept import KeptMail
from spamfilter.store.maildir import Maildir
from spamfilter.verdict import Disposition, Score
from tests.fakes import THRESHOLDS

RAW = b"X-Spam-Flag: YES\r\nFrom: a@example.org\r\nSubject: win\r\n\r\ncall now\r\n"
TEXT = b"win a prize, call now"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places.of(config.load(None, environ={}, state_dir=str(tmp_path)))


def _decided(url: URL, message: Message, detail: str = "", *, content: str | None = None) -> LoggedDecision:
    """The decision of a message as the log has it."""
    found = content_hash(message.raw, message.kind) if content is None else content
    decision = decide(message.id, Score(0.99, {}, "m-1", content=found), Policy(THRESHOLDS))
    store = DecisionStore(url)
    store.open()
    store.record(message, decision)
    store.settle(decision, Disposition.DELIVERED, detail)
    store.close()
    with History(url) as history:
        return history.get(message.id)


def _marked(message: Message) -> bytes:
    """As it is delivered: received, marked."""
    decision = decide(message.id, Score(0.99, {"ngram": 0.9}, "m-1"), Policy(THRESHOLDS))
    trace = b"Received: from x by mx.test\r\n" if message.kind is Kind.MAIL else b""
    return trace + headers.mark(message, decision, Markup("mx.test"))


@pytest.fixture
def message() -> Message:
    return Message(RAW, "smtp")


def test_a_kept_message(url: URL, places: Places, message: Message) -> None:
    keeper = KeptMail(places.kept, 1)
    keeper.open()
    keeper.keep(message)
    keeper.close()
    found = places.get(_decided(url, message))
    assert (found.place, found.kind) == ("kept", Kind.MAIL)
    assert found.raw == RAW.partition(b"\r\n")[2]  # forged verdicts are not what the sender wrote


@pytest.mark.parametrize("place", ["quarantine", "maildir"])
@pytest.mark.parametrize("looked_at", [False, True])
def test_a_message_in_a_maildir(url: URL, places: Places, message: Message, place: str, looked_at: bool) -> None:
    maildir = Maildir(getattr(places, place), "mx.test")
    maildir.prepare()
    path = maildir.deliver(message.id, (b"Return-Path: <a@example.org>\r\n", _marked(message)))
    if looked_at:
        path.rename(maildir.path / "cur" / f"{path.name}:2,S")
    decision = _decided(url, message)
    found = places.get(decision)
    assert found.place == place
    assert content_hash(found.raw, found.kind) == decision.content
    assert b"X-Spam" not in found.raw


@pytest.mark.parametrize(("raw", "kind"), [(RAW, Kind.MAIL), (TEXT, Kind.TEXT)])
def test_a_result_of_the_folder(url: URL, places: Places, raw: bytes, kind: Kind) -> None:
    message = Message(raw, "folder", kind=kind)
    result = places.folder / "spam" / "offer.eml"
    result.parent.mkdir(parents=True)
    result.write_bytes(_marked(message))
    found = places.get(_decided(url, message, str(result)))
    assert (found.place, found.kind) == ("folder", kind)
    assert content_hash(found.raw, found.kind) == content_hash(raw, kind)


@pytest.mark.parametrize(
    "detail",
    [
        "/etc/passwd",
        "{folder}/spam/../../secret",
        "{folder}/spam/..",
        "{folder}/secret/secret",
        "{folder}/spam/link",
        "{folder}/spam/pipe",
        "{folder}/spam/",
        "",
        "\0",
    ],
)
def test_the_log_cannot_lead_elsewhere(url: URL, places: Places, tmp_path: Path, detail: str) -> None:
    secret = Message(b"Subject: secret\n\nsecret\n", "folder")
    (places.folder / "spam").mkdir(parents=True)
    (places.folder / "secret").mkdir()
    for path in (tmp_path / "secret", places.folder / "secret" / "secret"):
        path.write_bytes(secret.raw)
    (places.folder / "spam" / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(places.folder / "spam" / "pipe")
    assert places.find(_decided(url, secret, detail.format(folder=places.folder))) is None


def test_a_file_that_is_no_longer_what_was_decided_is_not_shown(url: URL, places: Places) -> None:
    message = Message(RAW, "folder")
    result = places.folder / "spam" / "offer.eml"
    result.parent.mkdir(parents=True)
    result.write_bytes(b"Subject: another\n\nof the same name\n")
    decision = _decided(url, message, str(result))
    assert places.find(decision) is None
    with pytest.raises(NotAtHandError, match=rf"decision {message.id} is no longer at hand .* store.keep_days"):
        places.get(decision)


def test_as_a_message_it_knows_its_envelope_again(url: URL, places: Places, message: Message) -> None:
    maildir = Maildir(places.quarantine, "mx.test")
    maildir.prepare()
    maildir.deliver(message.id, (_marked(message),))
    decision = _decided(url, message)
    again = places.get(decision).message(decision)
    assert (again.id, again.channel) == (message.id, "smtp")
    assert content_hash(again.raw, again.kind) == decision.content
