"""The quarantine from the page: released into the Maildir, deleted for good, and what is not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from spamfilter.store.database import StoreError
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
    actions = [note.action for note in served.audit.notes]
    assert actions == ["quarantine.delete", "quarantine.delete", "quarantine.delete.failed"]


@pytest.mark.parametrize("act", ["release", "delete"])
async def test_what_cannot_be_noted_is_not_done(served: Served, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    id_, quarantine = await held(served)

    def full(*note: object) -> None:
        raise StoreError("the audit cannot be written: database or disk is full")

    monkeypatch.setattr(served.audit, "note", full)
    answer = await (await served.client("operator")).post_form(f"/decisions/{id_}/{act}")
    assert answer.status_code == 503
    assert "audit cannot be written" in answer.text
    assert len(list((quarantine / "new").iterdir())) == 1
    assert not served.config.path(served.config.smtp.maildir).exists()


async def test_of_two_clicks_at_once_one_releases(served: Served) -> None:
    id_, _ = await held(served)
    client = await served.client("operator")
    answers = await asyncio.gather(*(client.post_form(f"/decisions/{id_}/release") for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert len(list((served.config.path(served.config.smtp.maildir) / "new").iterdir())) == 1
