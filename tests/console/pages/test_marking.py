"""Marking: what a click teaches, who may, what is said of it, and how it is taken back."""

from __future__ import annotations

import pytest

from spamfilter.store.label_reader import LabelReader
from spamfilter.verdict import Decision, Label
from tests.console.pages.mail import HAM, SPAM, decided
from tests.console.serving import Served
from tests.learners import remembered


def label(served: Served, decision: Decision) -> Label | None:
    """What stands of a decision's content."""
    outcome = decision.outcome
    with LabelReader(served.services.database) as labels:
        return labels.label_of(outcome.score.content)  # type: ignore[union-attr]


async def test_a_mark_teaches_at_once_and_is_noted(taught: Served) -> None:
    one = await decided(taught, HAM % 1)
    client = await taught.client("operator")
    answer = await client.post_form(f"/decisions/{one.message_id}/mark", label="spam")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/decisions/{one.message_id}?did=spam")
    assert label(taught, one) is Label.SPAM
    assert list(remembered(taught.config.state_dir).values()) == [Label.SPAM]
    page = (await client.get(answer.headers["location"])).text
    assert "Marked as spam. Messages like it are known at once" in page
    assert "by operator" in page
    (note,) = taught.audit.notes
    assert (note.who, note.action, note.subject, note.detail) == ("operator", "decision.mark", one.message_id, "spam")


async def test_a_script_gets_the_same_as_json(taught: Served) -> None:
    one = await decided(taught, HAM % 1)
    client = await taught.client("operator")
    accept = {"accept": "application/json"}
    mark = {"csrf": client.csrf, "label": "spam"}
    done = await client.post(f"/decisions/{one.message_id}/mark", data=mark, headers=accept)
    assert done.json()["label"] == "spam"
    again = await client.post(f"/decisions/{one.message_id}/mark", data=mark, headers=accept)
    assert "nothing has changed" in again.json()["said"]
    undone = await client.post(f"/decisions/{one.message_id}/undo", data={"csrf": client.csrf}, headers=accept)
    assert undone.json()["label"] is None


async def test_an_undo_brings_back_what_was_said_before(taught: Served) -> None:
    one = await decided(taught, HAM % 1)
    client = await taught.client("operator")
    for said in ("ham", "spam"):
        await client.post_form(f"/decisions/{one.message_id}/mark", label=said)
    await client.post_form(f"/decisions/{one.message_id}/undo")
    assert label(taught, one) is Label.HAM
    assert [note.action for note in taught.audit.notes] == ["decision.mark", "decision.mark", "decision.undo"]


async def test_several_are_marked_by_their_boxes(taught: Served) -> None:
    made = [await decided(taught, HAM % number) for number in range(3)]
    gone = await decided(taught, HAM % 9, kept=False)
    client = await taught.client("operator")
    ids = [one.message_id for one in (*made[:2], gone)]
    answer = await client.post("/decisions/mark", data={"csrf": client.csrf, "label": "spam", "id": ids, "q": "ann"})
    assert [label(taught, one) for one in made] == [Label.SPAM, Label.SPAM, None]
    page = (await client.get(answer.headers["location"])).text
    assert "2 marked; 1 are not kept here" in page
    assert 'value="ann"' in page, "the search stays"


@pytest.mark.parametrize("what", ["mark", "undo", "release", "delete"])
async def test_viewers_change_nothing(taught: Served, what: str) -> None:
    one = await decided(taught, SPAM % 1)
    answer = await (await taught.client("viewer")).post_form(f"/decisions/{one.message_id}/{what}", label="ham")
    assert answer.status_code == 403
    assert label(taught, one) is None


@pytest.mark.parametrize(
    "path", ["/decisions/mark", "/decisions/{}/mark", "/decisions/{}/undo", "/decisions/{}/delete"]
)
async def test_a_strangers_form_changes_nothing(taught: Served, path: str) -> None:
    one = await decided(taught, SPAM % 1)
    client = await taught.client("operator")
    answer = await client.post(path.format(one.message_id), data={"label": "ham", "id": one.message_id})
    assert answer.status_code == 403
    assert label(taught, one) is None
    assert taught.audit.notes == []


@pytest.mark.parametrize("said", ["", "unsure", "SPAM", "<x>"])
async def test_a_mark_is_ham_or_spam(taught: Served, said: str) -> None:
    one = await decided(taught, SPAM % 1)
    answer = await (await taught.client("operator")).post_form(f"/decisions/{one.message_id}/mark", label=said)
    assert answer.status_code == 409
    assert label(taught, one) is None


async def test_what_is_not_kept_is_not_marked(taught: Served) -> None:
    one = await decided(taught, SPAM % 1, kept=False)
    answer = await (await taught.client("operator")).post_form(f"/decisions/{one.message_id}/mark", label="ham")
    assert answer.status_code == 409
    assert "mailbox" in answer.text
