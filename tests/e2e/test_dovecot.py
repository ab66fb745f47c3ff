"""A real Dovecot: what its users move by IMAP is learned, by the watched Maildir and by the recipe in deploy/."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spamfilter import classifier, config
from spamfilter.classifier.bundle import open_bundle
from spamfilter.correction import Provenance, content_hash
from spamfilter.frontends.learn import MaildirWatch, maildir_watch
from spamfilter.learning import Learned, Learning, label_store
from spamfilter.message import Message
from spamfilter.operating_point import bundle_path, memory_path, resolve_policy, serving_options
from spamfilter.store.labels import LabelStore
from spamfilter.verdict import Failure, Label, Score
from tests.__main__ import ROOT
from tests.conftest import absent
from tests.e2e.dovecot import USER, Dovecot, version
from tests.frontends.folder_setup import quick_watch, until
from tests.frontends.learn.setup import Recorder, nothing_left, watch

__all__ = ["quick_watch"]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning"),  # watchdog's, see maildir_watch
]

DEPLOY = ROOT / "deploy" / "dovecot"
SCRIPTS = ("report-spam.sieve", "report-ham.sieve", "spamfilter-learn.sh")

Start = Callable[..., Dovecot]


@pytest.fixture
def start(require_program: Callable[[str, str], str]) -> Iterator[Start]:
    """A function that starts a Dovecot, of which the test's end is the end."""
    require_program("dovecot", "dovecot-imapd")
    if os.geteuid() != 0:
        absent("only root can start Dovecot", "SPAMFILTER_REQUIRE_SERVERS")
    if version() >= (2, 4):
        absent("written for Dovecot 2.3; 2.4 names its settings otherwise", "SPAMFILTER_REQUIRE_SERVERS")
    running: list[Dovecot] = []
    with tempfile.TemporaryDirectory(prefix="spamfilter-dovecot-") as folder:

        def started(configure: Callable[[Path], str] = lambda root: "", **options: Any) -> Dovecot:
            Path(folder).chmod(0o755)
            root = Path(folder) / f"{len(running)}"
            root.mkdir()
            server = Dovecot(root, more=configure(root), **options)
            running.append(server)
            server.start()
            return server

        try:
            yield started
        finally:
            for server in running:
                server.stop()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildir_watch, "_GATHER_S", 0.02)


def mail(subject: str, body: str = "Some words.") -> bytes:
    return (
        f"From: Shop <shop@example.net>\nTo: ann@example.org\nSubject: {subject}\n"
        f"Date: Mon, 06 Jan 2025 10:00:00 +0000\nMessage-ID: <{subject}@example.net>\n\n{body}\n"
    ).encode()


def known(part: MaildirWatch) -> set[tuple[str, int]]:
    """How many messages the index has seen in which folder; a connection of its own, since the part has a thread's."""
    import sqlite3

    connection = sqlite3.connect(part._index._path)
    try:
        return set(
            connection.execute(
                "SELECT f.name, count(*) FROM messages m JOIN folders f ON f.id = m.folder"
                " WHERE m.gone IS NULL GROUP BY f.name"
            )
        )
    finally:
        connection.close()


@pytest.mark.parametrize("hardlinks", [True, False], ids=["hard links", "copies"])
@pytest.mark.parametrize("layout", ["", ":LAYOUT=fs"], ids=["Maildir++", "LAYOUT=fs"])
async def test_what_users_move_is_learned(start: Start, tmp_path: Path, layout: str, hardlinks: bool) -> None:
    dovecot = start(layout=layout, hardlinks=hardlinks)
    for subject in ("offer", "wanted", "deleted", "copied", "clumsy"):
        dovecot.deliver(mail(subject), "Junk" if subject == "wanted" else "INBOX")
    learn = Recorder()
    with nothing_left():
        async with watch(tmp_path, learn, dovecot.maildir) as part:
            await until(lambda: known(part) >= {("INBOX", 4), ("Junk", 1)})
            dovecot.deliver(mail("straight"), "Junk")
            await until(lambda: ("Junk", 2) in known(part))
            await asyncio.to_thread(_moves, dovecot)
            early = [(b"offer", "spam"), (b"wanted", "ham"), (b"clumsy", "spam"), (b"offer", "ham")]
            if not hardlinks:  # of mail from before the first look only the file is known, and a copy is another one
                early = early[-1:]
            await until(lambda: len(learn.calls) >= len(early))
            for subject in ("late offer", "late clumsy"):
                dovecot.deliver(mail(subject))
            await until(lambda: any(name == "INBOX" and number >= 3 for name, number in known(part)))
            await asyncio.to_thread(_later_moves, dovecot)
            await until(lambda: len(learn.calls) == len(early) + 3)
            await asyncio.sleep(0.5)
    said = [(message.raw.split(b"Subject: ")[1].split(b"\n")[0], str(label)) for message, label, _ in learn.calls]
    late = [(b"late offer", "spam"), (b"late clumsy", "spam"), (b"late offer", "ham")]
    assert said == early + late
    assert (learn.calls[-1][2].how, learn.calls[-1][2].channel) == ("moved from Junk to Archive", "maildir")


def _moves(dovecot: Dovecot) -> None:
    with dovecot.mailbox() as mailbox:
        mailbox.copy("copied", "INBOX", "Junk")
        mailbox.move("deleted", "INBOX", "Trash")
        time.sleep(0.7)
        mailbox.move("deleted", "Trash", "Junk")
        mailbox.move("straight", "Junk", "Trash")
        mailbox.flag("offer", "INBOX", r"\Seen")
        mailbox.flag("offer", "INBOX", r"\Flagged")
        mailbox.move("offer", "INBOX", "Junk")
        time.sleep(0.7)
        mailbox.move("wanted", "Junk", "INBOX")
        time.sleep(0.7)
        mailbox.copy("clumsy", "INBOX", "Junk")  # as programs without MOVE do it
        mailbox.flag("clumsy", "INBOX", r"\Deleted")
        time.sleep(0.7)
        mailbox.expunge("INBOX")
        mailbox.move("offer", "Junk", "Archive")


def _later_moves(dovecot: Dovecot) -> None:
    with dovecot.mailbox() as mailbox:
        mailbox.move("late offer", "INBOX", "Junk")
        time.sleep(0.7)
        mailbox.copy("late clumsy", "INBOX", "Junk")
        mailbox.flag("late clumsy", "INBOX", r"\Deleted")
        mailbox.expunge("INBOX")
        time.sleep(0.7)
        mailbox.move("late offer", "Junk", "Archive")


OFFER = """Dear colleague, the autumn meeting of the reading circle moves to the large room upstairs.
Please bring number {number} of the journal and the notes on the second chapter, which we did not finish last time.
Coffee is at four, and whoever comes by train is met at the station if they tell Marta before Wednesday noon."""


async def test_the_next_one_alike_gets_another_verdict(start: Start, tmp_path: Path) -> None:
    settings = config.load(environ={}, state_dir=str(tmp_path / "state"))
    (tmp_path / "state").mkdir(mode=0o700)
    bundle = open_bundle(bundle_path(settings))
    policy = resolve_policy(settings.policy, bundle)
    model = await asyncio.to_thread(classifier.load, bundle.path, **serving_options(settings, policy))
    store = label_store(settings)
    store.open()
    learning = Learning(store, memory_path(settings), model.examine, bundle.model_id)

    async def learn(message: Message, label: Label | None, provenance: Provenance) -> Learned | Failure:
        return await asyncio.to_thread(learning.learn, message, label, provenance)

    def probability(number: int) -> float:
        (score,) = model.score([Message(mail(f"meeting {number}", OFFER.format(number=number)), "test")])
        assert isinstance(score, Score)
        return score.probability

    dovecot = start()
    dovecot.deliver(mail("welcome"))
    try:
        before = probability(2)
        async with watch(tmp_path / "watch", learn, dovecot.maildir) as part:  # type: ignore[arg-type]
            await until(lambda: ("INBOX", 1) in known(part))
            raw = mail("meeting 1", OFFER.format(number=1))
            dovecot.deliver(raw)
            await until(lambda: ("INBOX", 2) in known(part))
            for source, target, label in (("INBOX", "Junk", Label.SPAM), ("Junk", "INBOX", Label.HAM)):
                with dovecot.mailbox() as mailbox:
                    mailbox.make("Junk")  # as programs do it for the first spam
                    mailbox.move("meeting 1", source, target)
                await until(lambda label=label: store.label_of(content_hash(raw)) is label)  # type: ignore[misc]
                await asyncio.sleep(0.5)  # the memory is looked at a few times a second
                after = probability(2)
                assert after >= policy.thresholds.spam_at if label is Label.SPAM else after <= before
    finally:
        store.close()
    assert before < policy.thresholds.unsure_at


def _recipe(root: Path, state: Path) -> str:
    """The shipped files, with this test's paths and users in them."""
    program = root / "spamfilter"
    program.write_text(f'#!/bin/sh\ncd {ROOT}\nexec {sys.executable} -m spamfilter "$@"\n', "utf-8")
    program.chmod(0o755)
    changes = {
        "/etc/dovecot/sieve": str(root),
        "/opt/spamfilter/bin/spamfilter": str(program),
        "/var/lib/spamfilter": str(state),
        "user = spamfilter": "user = root",
        "user = vmail": "user = nobody",
    }
    texts = {name: (DEPLOY / name).read_text("utf-8") for name in ("90-spamfilter.conf", *SCRIPTS)}
    for old, new in changes.items():
        assert any(old in text for text in texts.values()), f"{old} is in none of the files"
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    for name in SCRIPTS:
        (root / name).write_text(texts[name], "utf-8")
        (root / name).chmod(0o755)
    (root / "dovecot.conf").write_text(f"mail_location = maildir:~/Maildir\n{texts['90-spamfilter.conf']}", "utf-8")
    for name in ("report-spam.sieve", "report-ham.sieve"):
        compile_ = ["sievec", "-c", str(root / "dovecot.conf"), str(root / name)]
        subprocess.run(compile_, check=True, capture_output=True, timeout=60)
    return texts["90-spamfilter.conf"]


def test_the_sieve_recipe(start: Start, tmp_path: Path, require_program: Callable[[str, str], str]) -> None:
    require_program("sievec", "dovecot-sieve")
    state = tmp_path / "state"
    dovecot = start(lambda root: _recipe(root, state))
    raws = {subject: mail(subject, f"The words of {subject}.") for subject in ("offer", "wanted", "deleted")}
    raws["straight"] = mail("straight", "The words of straight.")
    for subject, raw in raws.items():
        dovecot.deliver(raw, "Junk" if subject in ("wanted", "straight") else "INBOX")
    with dovecot.mailbox() as mailbox:
        mailbox.move("deleted", "INBOX", "Trash")
        mailbox.move("deleted", "Trash", "Junk")
        mailbox.move("straight", "Junk", "Trash")
        mailbox.move("offer", "INBOX", "Junk")
        mailbox.move("wanted", "Junk", "INBOX")
    assert state.exists(), dovecot.log()
    said = _labels(state, raws)
    assert said == {"offer": Label.SPAM, "wanted": Label.HAM}, dovecot.log()
    with dovecot.mailbox() as mailbox:
        mailbox.move("offer", "Junk", "Archive")
    assert _labels(state, raws) == {"offer": Label.HAM, "wanted": Label.HAM}
    assert "Error" not in dovecot.log()


def _labels(state: Path, raws: dict[str, bytes]) -> dict[str, Label]:
    store: LabelStore = label_store(config.load(environ={}, state_dir=str(state)))
    store.open()
    try:
        assert all(one.provenance.who == USER for one in store.labelled())
        found = {subject: store.label_of(content_hash(raw)) for subject, raw in raws.items()}
    finally:
        store.close()
    return {subject: label for subject, label in found.items() if label is not None}
