"""The quarantine from the page: released into the Maildir, deleted for good, and what is not there."""

from __future__ import annotations

from pathlib import Path

from spamfilter.store.maildir import Maildir
from spamfilter.verdict import Disposition
from tests.console.pages.mail import SPAM, decided
from tests.console.serving import Served


async def held(served: Served) -> tuple[str, Path]:
    """A decision whose message lies in the quarantine; its id and the quarantine's folder."""
    one = await decided(served, SPAM % 1, kept=False, disposition=Disposition.QUARANTINED)
    quarantine = Maildir(served.config.path(served.config.smtp.quarantine), "host")
    quarantine.prepare()
    envelope = {
        "mail_from": "ann@example.com",
        "mail_parameters": [],
        "rcpt_tos": [{"address": "me@here.example", "parameters": []}],
    }
    quarantine.deliver(one.message_id, (SPAM % 1,), envelope=envelope)
    return one.message_id, quarantine.path


async def test_a_released_message_is_delivered_and_gone(served: Served) -> None:
    id_, quarantine = await held(served)
    client = await served.client("operator")
    assert "Release to its recipients" in (await client.get(f"/decisions/{id_}")).text
    answer = await client.post_form(f"/decisions/{id_}/release")
    assert answer.headers["location"] == f"/decisions/{id_}?did=released"
    (delivered,) = (served.config.path(served.config.smtp.maildir) / "new").iterdir()
    assert delivered.read_bytes().endswith(SPAM % 1)
    assert list((quarantine / "new").iterdir()) == []
    page = (await client.get(answer.headers["location"])).text
    assert "on its way to its recipients" in page
    assert "Release to its recipients" not in page
    assert [note.action for note in served.audit.notes] == ["quarantine.release"]


async def test_a_deleted_message_is_gone(served: Served) -> None:
    id_, quarantine = await held(served)
    client = await served.client("operator")
    await client.post_form(f"/decisions/{id_}/delete")
    assert list((quarantine / "new").iterdir()) == []
    assert not served.config.path(served.config.smtp.maildir).exists()
    again = await client.post_form(f"/decisions/{id_}/delete")
    assert again.status_code == 409
    assert "in the quarantine" in again.text
    assert [note.action for note in served.audit.notes] == ["quarantine.delete"]
