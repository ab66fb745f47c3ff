"""`decisions mark`, `release`, `delete`: done to the right message, by somebody, and noted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spamfilter import classifier
from spamfilter.classifier.bundle import Bundle
from spamfilter.correction import content_hash
from spamfilter.message import Envelope, Message
from spamfilter.policy import Policy, decide
from spamfilter.store.audit import Audit
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.history import History
from spamfilter.store.maildir import Maildir
from spamfilter.verdict import Disposition, Label
from tests.cli.conftest import Run
from tests.fakes import THRESHOLDS, score
from tests.learners import Model, kept, mail, remembered


@pytest.fixture
def model(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model that every bundle loads as, and who works with it."""
    loaded = Model(bundle.model_id)
    monkeypatch.setattr(classifier, "load", lambda path, **options: loaded)
    monkeypatch.setenv("SUDO_USER", "alice")
    return loaded


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state_dir: aa1 is quarantined, ab2 is known to the log only."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    store = DecisionStore(store_url("", state))
    store.open()
    maildir = Maildir(state / "quarantine", "mx.test")
    maildir.prepare()
    for number, id_ in enumerate(("aa1", "ab2")):
        raw = mail(number).raw
        message = Message(raw, "smtp", Envelope("a@example.com", ("bob@example.net",)), id=id_)
        decision = decide(id_, replace(score(0.99), content=content_hash(raw)), Policy(THRESHOLDS))
        store.record(message, decision)
        store.settle(decision, Disposition.QUARANTINED)
    envelope = {"mail_from": "a@example.com", "mail_parameters": [], "rcpt_tos": [{"address": "b@x", "parameters": []}]}
    maildir.deliver("aa1", (b"X-Spam-Flag: YES\n", mail(0).raw), envelope=envelope)
    store.close()
    return state


def _audit(state: Path) -> list[tuple[str, str, str]]:
    with Audit(store_url("", state)) as audit:
        return [(deed.who, deed.action, deed.subject) for deed in audit.page()]


def _disposition(state: Path, id_: str) -> str:
    with History(store_url("", state)) as history:
        return history.get(id_).disposition


def test_a_decision_is_corrected_and_the_correction_taken_back(run: Run, model: Model, state: Path) -> None:
    content = content_hash(mail(0).raw)
    result = run("decisions", "mark", "aa", "--ham", "--state-dir", state)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "aa1: ham (before: nothing)\n", "")
    assert kept(state) == remembered(state) == {content: Label.HAM}
    assert run("decisions", "mark", "aa1", "--ham", "--state-dir", state).stdout == "aa1: ham already\n"
    result = run("decisions", "mark", "aa1", "--undo", "--who", "bob", "--state-dir", state)
    assert result.stdout == "aa1: nothing (before: ham)\n"
    assert kept(state) == {}
    marked = ("alice", "decision.mark", "aa1")
    assert _audit(state) == [("bob", "decision.undo", "aa1"), marked, marked]


def test_what_is_no_longer_at_hand_cannot_be_learned(run: Run, model: Model, state: Path) -> None:
    result = run("decisions", "mark", "ab2", "--spam", "--state-dir", state)
    assert result.exit_code == 2
    assert "error: the message of decision ab2 is no longer at hand" in result.stderr
    assert _audit(state) == []


def test_a_message_of_nothing_is_refused_in_words(run: Run, model: Model, state: Path) -> None:
    store = DecisionStore(store_url("", state))
    store.open()
    store.record(Message(b"\n", "smtp", id="ac3"), decide("ac3", score(0.99), Policy(THRESHOLDS)))
    store.close()
    Maildir(state / "quarantine", "mx.test").deliver("ac3", (b"\n",))
    result = run("decisions", "mark", "ac3", "--spam", "--state-dir", state)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error: ac3: empty: there is nothing to learn from" in result.stderr


def test_what_was_done_as_json(run: Run, model: Model, state: Path) -> None:
    at = ("--json", "--state-dir", state)
    marked = json.loads(run("decisions", "mark", "aa", "--spam", *at).stdout)
    assert marked == {"id": "aa1", "before": None, "after": "spam", "changed": True}
    released = json.loads(run("decisions", "release", "aa", *at).stdout)
    assert (released["id"], released["disposition"]) == ("aa1", "released") and released["detail"]


def test_one_must_say_what_it_is(run: Run, state: Path) -> None:
    result = run("decisions", "mark", "aa1", "--state-dir", state)
    assert result.exit_code == 2
    assert "say what it is: --spam or --ham" in result.stderr


def test_released_by_the_beginning_of_its_id(run: Run, state: Path) -> None:
    result = run("decisions", "release", "aa", "--who", "bob", "--state-dir", state)
    assert result.exit_code == 0
    assert result.stdout.startswith("aa1: released: ")
    [delivered] = (state / "Maildir" / "new").iterdir()
    assert delivered.read_bytes().endswith(mail(0).raw)
    assert b"X-Spam" not in delivered.read_bytes()
    assert _disposition(state, "aa1") == "released"
    assert _audit(state) == [("bob", "quarantine.release", "aa1")]
    again = run("decisions", "release", "aa", "--state-dir", state)
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr.startswith("error: no message aa1 in the quarantine; it was released or deleted")


def test_deleted_when_one_is_sure(run: Run, state: Path) -> None:
    assert run("decisions", "delete", "aa1", "--state-dir", state, input=b"n\n").exit_code == 1
    assert _disposition(state, "aa1") == "quarantined"
    assert run("decisions", "delete", "aa1", "--yes", "--state-dir", state).stdout == "aa1: deleted\n"
    assert _disposition(state, "aa1") == "deleted"
    assert list((state / "quarantine" / "new").iterdir()) == []


@pytest.mark.parametrize("act", [("mark", "--ham"), ("release",), ("delete", "--yes")])
def test_no_such_decision(run: Run, state: Path, act: tuple[str, ...]) -> None:
    result = run("decisions", act[0], "zz", *act[1:], "--state-dir", state)
    assert (result.exit_code, result.stderr.splitlines()) == (
        2, ["error: no decision 'zz'; `spamfilter decisions list` shows those that are kept"]
    )  # fmt: skip
