"""`learn`: what people point at is learned, and what cannot be is said in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spamfilter import classifier
from spamfilter.classifier.bundle import Bundle
from spamfilter.cli import learn as command
from spamfilter.verdict import Label
from tests.cli.conftest import Run
from tests.cli.test_mailboxes import make_mbox
from tests.learners import Model, content, kept, mail, remembered

HAM, SPAM = Label.HAM, Label.SPAM


@pytest.fixture
def model(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model that every bundle loads as; tests that need none see whether one is loaded."""
    loaded = Model(bundle.model_id)

    def load(path: Path, **options: object) -> Model:
        loaded.loads += 1
        return loaded

    monkeypatch.setattr(classifier, "load", load)
    monkeypatch.setenv("SUDO_USER", "alice")
    return loaded


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    """A folder with four mails."""
    folder = tmp_path / "mails"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.eml").write_bytes(mail(number).raw)
    return folder


def test_a_folder_is_learned(run: Run, model: Model, state: Path, mails: Path) -> None:
    result = run("learn", "--spam", mails, "--state-dir", state)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "learned 4 as spam\n", "")
    assert remembered(state) == kept(state) == {content(mail(number)): SPAM for number in range(4)}
    assert state.stat().st_mode & 0o777 == 0o700


def test_the_summary_says_what_was_before(run: Run, model: Model, state: Path, mails: Path) -> None:
    run("learn", "--ham", mails / "0.eml", mails / "1.eml", "--state-dir", state)
    run("learn", "--spam", mails / "2.eml", "--state-dir", state)
    result = run("learn", "--spam", mails, "--state-dir", state)
    assert result.stdout == "learned 3 as spam (2 were ham before), 1 known already\n"
    result = run("learn", "--ham", mails / "0.eml", "--state-dir", state)
    assert result.stdout == "learned 1 as ham (1 was spam before)\n"


def test_mbox_maildir_and_standard_input(run: Run, model: Model, state: Path, tmp_path: Path) -> None:
    box = make_mbox(tmp_path / "box", mail(1).raw, mail(2).raw)
    maildir = tmp_path / "Maildir"
    for folder in ("cur", "new", "tmp"):
        (maildir / folder).mkdir(parents=True)
        (maildir / folder / "1.x").write_bytes(mail({"cur": 3, "new": 4, "tmp": 5}[folder]).raw)
    result = run("learn", "--ham", box, maildir, "-", "--state-dir", state, input=mail(6).raw.replace(b"\n", b"\r\n"))
    assert result.stdout == "learned 5 as ham\n"
    assert set(kept(state)) == {content(mail(number)) for number in (1, 2, 3, 4, 6)}


def test_json_lines(run: Run, model: Model, state: Path, mails: Path, tmp_path: Path) -> None:
    run("learn", "--ham", mails / "1.eml", "--state-dir", state)
    lines = run(
        "learn", "--spam", "--json", mails / "1.eml", tmp_path / "none", "--state-dir", state
    ).stdout.splitlines()
    first, second = map(json.loads, lines)
    assert first["path"] == str(mails / "1.eml")
    assert (first["content"], first["before"], first["after"]) == (content(mail(1)), "ham", "spam")
    assert first["probability"] == 0.25
    assert first["recall"] == {"content": content(mail(1)), "label": "ham", "similarity": 1.0}
    assert (second["content"], second["error"]) == (None, "No such file or directory")


def test_forget_and_undo_ask_no_model(run: Run, model: Model, state: Path, mails: Path) -> None:
    run("learn", "--spam", mails, "--state-dir", state)
    run("learn", "--ham", mails / "0.eml", "--state-dir", state)
    loads = model.loads
    result = run("learn", "--undo", mails / "0.eml", mails / "1.eml", "--state-dir", state)
    assert (result.exit_code, result.stdout) == (0, "took back 2\n")
    assert kept(state) == {content(mail(0)): SPAM, content(mail(2)): SPAM, content(mail(3)): SPAM}
    result = run("learn", "--undo", mails / "1.eml", "--state-dir", state)
    assert result.stdout == "took back 0, 1 not known\n"
    result = run("learn", "--forget", mails, "--state-dir", state)
    assert result.stdout == "forgot 3, 1 not known\n"
    assert remembered(state) == kept(state) == {}
    assert model.loads == loads


def test_what_cannot_be_read_costs_only_itself(run: Run, model: Model, state: Path, mails: Path) -> None:
    (mails / "4-empty.eml").write_bytes(b"")
    (mails / "5-picture.eml").write_bytes(b"\x89PNG\r\n\0\0")
    (mails / "6-\x1b[2J.eml").write_bytes(b"")
    result = run("learn", "--spam", mails, mails / "none.eml", "--state-dir", state)
    assert result.exit_code == 1
    assert result.stdout == "learned 4 as spam, 4 not read\n"
    assert f"{mails}/4-empty.eml: empty: there is nothing to learn from\n" in result.stderr
    assert f"{mails}/5-picture.eml: neither mail nor text: no header block, and NUL bytes\n" in result.stderr
    assert f"{mails}/none.eml: No such file or directory\n" in result.stderr
    assert "\x1b" not in result.stderr


def test_hostile_mail(run: Run, model: Model, state: Path, mails: Path) -> None:
    (mails / "0.eml").write_bytes(b"Subject: big\nFrom: a@example.com\n\n" + b"win a prize now, call me " * 200_000)
    (mails / "1.eml").write_bytes(b"Subject: n\0ul\nFrom: a@example.com\n\n\0")
    (mails / "2.eml").write_bytes(b"no headers, only words")
    (mails / "3.eml").write_bytes(b"\xff\xfe\xfd: \x80\n\n\x80")
    assert run("learn", "--spam", mails, "--state-dir", state).stdout == "learned 4 as spam\n"


def test_who_says_so(run: Run, model: Model, state: Path, mails: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spamfilter.store.database import store_url
    from spamfilter.store.label_reader import LabelReader

    run("learn", "--spam", mails / "0.eml", "--state-dir", state)
    run("learn", "--spam", "--who", "bob@example.net", mails / "1.eml", "--state-dir", state)
    with LabelReader(store_url("", state)) as reader:
        said = {one.content: one.provenance for one in reader.corrections()}
    assert said[content(mail(0))].who == "alice"
    assert said[content(mail(1))].who == "bob@example.net"
    assert said[content(mail(1))].how == "command line"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setenv("LOGNAME", "carol")
    assert command.login_name() == "carol"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["learn", "mail.eml"], "say what they are: --spam or --ham"),
        (["learn", "--spam"], "give PATHS, or - for standard input"),
    ],
)
def test_what_is_missing_is_said(run: Run, arguments: list[str], answer: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert answer in result.stderr


def test_the_state_of_another_user_is_left_alone(
    run: Run, model: Model, state: Path, mails: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    result = run("learn", "--spam", mails, "--state-dir", state)
    assert result.exit_code == 2
    assert "belongs to" in result.stderr and "run this as that user: sudo -u" in result.stderr
    assert list(state.iterdir()) == []


def test_a_key_that_others_may_read_refuses(run: Run, model: Model, state: Path, mails: Path) -> None:
    pytest.importorskip("cryptography")
    from spamfilter.store.seal import make_key

    state.mkdir()
    make_key(state / "labels.key")
    (state / "labels.key").chmod(0o644)
    result = run("learn", "--spam", mails, "--state-dir", state)
    assert result.exit_code == 2
    assert "error:" in result.stderr and "run: chmod 600" in result.stderr


def test_the_bar_counts_messages(capsys: pytest.CaptureFixture[str]) -> None:
    with command._bar(100) as advance:
        advance(40)
        advance(60)
    assert "2 messages" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    from tests.cli.test_main import _HEAVY

    program = (
        "import sys; from spamfilter.cli.learn import learn; from spamfilter.cli.labels import labels\n"
        "for command in (learn, labels): command.main(['--help'], standalone_mode=False)\n"
        f"print('loaded:', [name for name in {_HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Learn from the messages in PATHS" in result.stdout
    assert result.stdout.splitlines()[-1] == "loaded: []"
