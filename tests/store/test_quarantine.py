"""What was kept back is listed, read with the envelope that the relay wrote, and goes once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from spamfilter.store.maildir import Maildir
from spamfilter.store.quarantine import Quarantine, QuarantineError, Recipient
from spamfilter.verdict import Action
from tests.frontends.smtp.dialogue import SPAM, relay
from tests.frontends.smtp.scripted_hop import ScriptedHop


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    """With two messages, the second looked at by somebody, and files of others."""
    maildir = Maildir(tmp_path / "quarantine", "mx.test")
    maildir.prepare()
    envelope = {"mail_from": "", "mail_parameters": [], "rcpt_tos": [{"address": "b@x", "parameters": []}]}
    for id_ in ("aa1", "aa2"):
        path = maildir.deliver(id_, (b"Subject: ", id_.encode()), envelope=envelope)
    path.rename(maildir.path / "cur" / f"{path.name}:2,S")
    (maildir.path / "new" / "1700000000.foreign.host").touch()
    (maildir.path / "new" / "1700000000.aa3P1Q1.link").symlink_to("/etc/passwd")
    return Quarantine(maildir.path)


async def test_what_the_relay_keeps_back_can_be_read(tmp_path: Path) -> None:
    async with ScriptedHop() as hop, relay(tmp_path, hop, spam=Action.QUARANTINE) as running:
        client = await running.client()
        await client.begin(b"<b@example.net> NOTIFY=NEVER", mail=b"<a@example.org> BODY=8BITMIME")
        await client.data(SPAM)
    quarantine = Quarantine(running.quarantine)
    [held] = quarantine.held()
    assert quarantine.read(held.id).endswith(SPAM)
    sent = quarantine.envelope(held.id)
    assert (sent.mail_from, sent.parameters) == ("a@example.org", ("BODY=8BITMIME",))
    assert sent.recipients == (Recipient("b@example.net", ("NOTIFY=NEVER",)),)


def test_all_that_is_held_and_nothing_else(quarantine: Quarantine) -> None:
    held = quarantine.held()
    assert sorted(one.id for one in held) == ["aa1", "aa2"]
    assert {one.size for one in held} == {12}
    assert all(abs((datetime.now(UTC) - one.since).total_seconds()) < 3600 for one in held)
    assert Quarantine(quarantine.path / "none").held() == []


@pytest.mark.parametrize("id_", ["aa4", "", "..", "../envelopes/aa1", "aa", "aa1P", "foreign"])
def test_no_such_message(quarantine: Quarantine, id_: str) -> None:
    for call in (quarantine.read, quarantine.envelope, quarantine.remove):
        with pytest.raises(QuarantineError, match=f"no message {id_} in the quarantine"):
            call(id_)


def test_a_link_is_never_followed(quarantine: Quarantine) -> None:
    with pytest.raises(QuarantineError), quarantine.taken("aa3"):
        pass


def test_one_at_a_time(quarantine: Quarantine) -> None:
    with quarantine.taken("aa2") as raw:
        assert raw == b"Subject: aa2"
        with (
            pytest.raises(QuarantineError, match="aa2 is being released or deleted by somebody else"),
            quarantine.taken("aa2"),
        ):
            pass  # fmt: skip
        quarantine.remove("aa2")
    with pytest.raises(QuarantineError, match="no message aa2"), quarantine.taken("aa2"):
        pass
    assert [one.id for one in quarantine.held()] == ["aa1"]
    assert [path.name for path in (quarantine.path / "envelopes").iterdir()] == ["aa1.json"]


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"mail_from": 1, "rcpt_tos": 2, "mail_parameters": 3}', b"\xff"])
def test_an_envelope_that_cannot_be_read_is_said_with_the_messages_place(quarantine: Quarantine, text: bytes) -> None:
    (quarantine.path / "envelopes" / "aa1.json").write_bytes(text)
    with pytest.raises(QuarantineError, match=r"aa1\.json: the envelope cannot be read .*; the message itself is /"):
        quarantine.envelope("aa1")
