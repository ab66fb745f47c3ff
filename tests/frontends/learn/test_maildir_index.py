"""The rules of what is a move, told look by look with a clock of the test's own."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from spamfilter.frontends.learn import maildir_message
from spamfilter.frontends.learn.maildir_folders import Roles, folders
from spamfilter.frontends.learn.maildir_index import MaildirIndex, Move
from spamfilter.frontends.learn.settings import IGNORED, JUNK
from tests.frontends.learn.setup import LIMIT, TestMaildir, mail

JUNKS = [".Junk", "Junk", ".Courrier ind&AOk-sirable"]
NAMES = (".Trash", ".Drafts", ".Sent", ".Archive", *JUNKS)
SPAM, HAM = "spam", "ham"


class Story:
    """A Maildir, an index, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.maildir = TestMaildir(root / "M", *NAMES)
        self.now = 1000.0
        self.reads = 0
        self.index = self._opened()

    def _opened(self) -> MaildirIndex:
        def identify(path: Path) -> bytes | None:
            self.reads += 1
            return maildir_message.identify(path, LIMIT)

        return MaildirIndex(self.root / "state" / "i.sqlite", Roles(JUNK, IGNORED), 60.0, identify).open()

    def restart(self) -> None:
        self.index.close()
        self.index = self._opened()

    def look(self, after: float = 1.0) -> list[tuple[str, str, str]]:
        """Every move that is new, as label, source and target."""
        self.now += after
        maildir = self.maildir.path
        present = folders(maildir, int(self.now * 1e9))
        for folder in present:
            self.index.update(maildir, folder, self.now)
        self.index.update_missing(maildir, present, self.now)
        self.index.note_looked(maildir)
        self.index.judge(maildir, self.now)
        self.index.forget_old(self.now)
        moves = self.waiting()
        for move in moves:
            assert move.path.is_file()
            self.index.done(move)
        return [(str(move.label), move.source, move.target) for move in moves]

    def waiting(self) -> list[Move]:
        return self.index.moves(100)


@pytest.fixture
def story(tmp_path: Path):  # type: ignore[no-untyped-def]
    story = Story(tmp_path)
    yield story
    story.index.close()


@pytest.mark.parametrize("link", [True, False], ids=["hard link", "copy of the bytes"])
@pytest.mark.parametrize("junk", JUNKS)
def test_into_junk_is_spam_and_out_of_it_is_ham(story: Story, junk: str, link: bool) -> None:
    story.look()
    path = story.maildir.deliver(mail("offer"))
    assert story.look() == []
    path = story.maildir.move(path, junk, link=link)
    (found,) = story.look()
    assert found[:2] == (SPAM, "INBOX")
    path = story.maildir.move(path, ".Archive", link=link)
    (found,) = story.look()
    assert (found[0], found[2]) == (HAM, "Archive")
    assert story.look() == []


def test_the_order_in_which_it_is_seen_does_not_matter(story: Story) -> None:
    story.look()
    path = story.maildir.deliver(mail("offer"))
    story.look()
    copy = story.maildir.copy(path, ".Junk")
    assert story.look() == []
    path.unlink()
    assert story.look(30) == [(SPAM, "INBOX", "Junk")]
    aside = copy.rename(story.root / "aside")
    assert story.look() == []
    aside.rename(story.maildir.path / "cur" / "back:2,S")
    assert story.look(30) == [(HAM, "Junk", "INBOX")]


def test_a_copy_that_stays_labels_nothing(story: Story) -> None:
    story.look()
    path = story.maildir.deliver(mail("offer"))
    story.look()
    story.maildir.copy(path, ".Junk")
    assert story.look() == []
    path.unlink()
    assert story.look(61) == []
    assert story.look() == []


def test_marked_as_deleted_is_gone(story: Story) -> None:
    story.look()
    path = story.maildir.deliver(mail("offer"))
    story.look()
    story.maildir.copy(path, ".Junk")
    story.maildir.flag(path, "ST")  # expunged when the client closes, tomorrow
    assert story.look() == [(SPAM, "INBOX", "Junk")]


@pytest.mark.parametrize("other", [".Trash", ".Drafts", ".Sent"])
def test_trash_drafts_and_sent_never_label(story: Story, other: str) -> None:
    story.look()
    in_junk, in_other, in_inbox = (
        story.maildir.deliver(mail(text), folder) for text, folder in (("a", ".Junk"), ("b", other), ("c", ""))
    )
    assert story.look() == []
    story.maildir.move(in_junk, other)
    at = story.maildir.move(in_other, ".Junk")
    story.maildir.move(in_inbox, other)
    assert story.look() == []
    at = story.maildir.move(at, other)
    assert story.look() == []
    story.maildir.move(at, "")  # Junk, Trash, INBOX within the window is a move out of Trash
    assert story.look() == []


def test_junk_trash_inbox_between_two_looks_says_nothing(story: Story) -> None:
    story.look()
    path = story.maildir.deliver(mail("a"), ".Junk")
    story.look()
    path = story.maildir.move(path, ".Trash")
    story.look()
    story.maildir.move(path, "")
    assert story.look() == []


def test_a_delivery_into_junk_labels_nothing_even_of_a_text_that_was_deleted(story: Story) -> None:
    story.look()
    raw = mail("campaign")
    path = story.maildir.deliver(raw)
    story.look()
    path.unlink()
    again = raw.replace(b"id ", b"id again-")  # the same text, another delivery
    story.maildir.deliver(again, ".Junk")
    assert story.look() == []


def test_the_first_look_labels_nothing_and_reads_nothing(story: Story) -> None:
    for n in range(20):
        path = story.maildir.deliver(mail(f"{n}"))
        story.maildir.copy(path, ".Junk")
        story.maildir.move(path, "")
    assert story.look() == [] and story.reads == 0
    assert story.index.count() == 40


def test_mail_from_before_the_first_look_is_known_by_its_file(story: Story) -> None:
    path = story.maildir.deliver(mail("old"))
    story.look()
    path = story.maildir.move(path, ".Junk")
    assert story.look() == [(SPAM, "INBOX", "Junk")]
    assert story.reads == 1  # so that the way back may be a copy of the bytes
    story.maildir.move(path, "", link=False)
    assert story.look() == [(HAM, "Junk", "INBOX")]


def test_what_moved_while_nobody_looked_is_found_by_the_next_start(story: Story) -> None:
    story.look()
    wanted, offer = story.maildir.deliver(mail("wanted"), ".Junk"), story.maildir.deliver(mail("offer"))
    story.look()
    story.restart()
    story.maildir.move(wanted, "")
    story.maildir.move(offer, ".Junk")
    assert sorted(story.look(86400)) == [(HAM, "Junk", "INBOX"), (SPAM, "INBOX", "Junk")]
    story.restart()
    assert story.look() == []


def test_flags_and_reading_are_no_moves(story: Story) -> None:
    story.look()
    path, junk = story.maildir.deliver(mail("a")), story.maildir.deliver(mail("b"), ".Junk")
    story.look()
    reads = story.reads
    for flags in ("", "S", "FS", "FRS"):
        path, junk = story.maildir.flag(path, flags), story.maildir.flag(junk, flags)
        assert story.look() == []
    assert story.reads == reads
    story.maildir.move(path, ".Junk")
    assert story.look() == [(SPAM, "INBOX", "Junk")]


def test_a_change_of_mind_is_two_corrections(story: Story) -> None:
    story.look()
    path = story.maildir.deliver(mail("a"))
    story.look()
    said = []
    for folder in (".Junk", "", ".Junk", ".Archive"):
        path = path.rename(story.maildir.path / folder / "cur" / path.name.partition(":")[0])  # by hand: same name
        said += story.look()
    assert [label for label, _, _ in said] == [SPAM, HAM, SPAM, HAM]


def test_between_ordinary_folders_and_within_junk_nothing_is_said(story: Story) -> None:
    story.look()
    path, junk = story.maildir.deliver(mail("a")), story.maildir.deliver(mail("b"), ".Junk")
    story.look()
    story.maildir.move(path, ".Archive")
    story.maildir.move(junk, "Junk")
    assert story.look() == []


def test_a_renamed_folder_moves_nobodys_mail(story: Story) -> None:
    story.look()
    story.maildir.deliver(mail("a"), ".Junk")
    story.maildir.deliver(mail("b"), ".Archive")
    story.look()
    root = story.maildir.path
    (root / ".Junk").rename(root / ".Old junk")
    (root / ".Archive").rename(root / ".Spam")
    assert story.look() == []


def test_the_first_message_of_a_junk_folder_made_for_it_counts(story: Story) -> None:
    shutil.rmtree(story.maildir.path / ".Junk")
    story.look()
    path = story.maildir.deliver(mail("a"))
    story.look()
    story.maildir.make(".Spam")
    story.maildir.move(path, ".Spam")
    assert story.look() == [(SPAM, "INBOX", "Spam")]


def test_a_folder_that_is_gone_or_a_file_labels_nothing(story: Story) -> None:
    story.look()
    story.maildir.deliver(mail("a"), ".Junk")
    story.look()
    shutil.rmtree(story.maildir.path / ".Junk")
    (story.maildir.path / ".Junk").write_bytes(b"a file")
    assert story.look() == []
    assert story.look(500) == []
    assert story.index.count() == 0


def test_what_waits_to_be_learned_follows_the_message(story: Story) -> None:
    story.look()
    path = story.maildir.deliver(mail("a"))
    story.look()
    path = story.maildir.move(path, ".Junk")
    maildir = story.maildir.path

    def look_without_learning() -> None:
        story.now += 1
        for folder in folders(maildir, 0):
            story.index.update(maildir, folder, story.now)
        story.index.judge(maildir, story.now)
        story.index.forget_old(story.now)

    look_without_learning()
    story.restart()
    story.maildir.move(path, ".Trash")
    look_without_learning()
    (move,) = story.waiting()
    assert (str(move.label), move.path.parent.parent.name) == (SPAM, ".Trash")
    assert maildir_message.read_again(move.path, move.base, LIMIT).endswith(b"\n\na\n")


def test_a_later_word_replaces_one_that_still_waits(story: Story) -> None:
    story.look()
    path = story.maildir.deliver(mail("a"))
    story.look()
    maildir = story.maildir.path
    for folder in (".Junk", ""):
        path = story.maildir.move(path, folder)
        story.now += 1
        for one in folders(maildir, 0):
            story.index.update(maildir, one, story.now)
        story.index.judge(maildir, story.now)
    assert [str(move.label) for move in story.waiting()] == [HAM]


def test_a_message_that_was_replaced_where_it_lies_is_still_known(story: Story) -> None:
    story.look()
    path = story.maildir.deliver(mail("a"))
    story.look()
    packed = story.root / "packed"
    packed.write_bytes(b"\x1f\x8b, as Dovecot's zlib plugin leaves it")
    packed.replace(path)
    assert story.look() == []
    story.maildir.move(path, ".Junk")
    assert story.look() == [(SPAM, "INBOX", "Junk")]


def test_a_maildir_that_is_no_longer_watched_is_forgotten(story: Story) -> None:
    story.maildir.deliver(mail("a"))
    story.look()
    assert story.index.count() == 1
    story.index.keep_only([])
    assert story.index.count() == 0


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 50, b""], ids=["broken", "empty"])
def test_a_broken_index_is_put_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "i.sqlite"
    path.write_bytes(content)
    index = MaildirIndex(path, Roles(JUNK, IGNORED), 60.0, lambda path: None).open()
    assert index.count() == 0
    index.close()
    assert path.with_suffix(".broken").exists() is bool(content)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_locked_index_is_not_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sqlite3, "connect", locked)
    with pytest.raises(sqlite3.OperationalError):
        MaildirIndex(tmp_path / "i.sqlite", Roles(JUNK, IGNORED), 60.0, lambda path: None).open()


def test_of_hundreds_that_are_copied_in_at_once_not_all_are_read(story: Story) -> None:
    story.look()
    for n in range(600):
        story.maildir.deliver(mail(f"{n}"))
    story.look()
    assert story.reads == 500 and story.index.count() == 600
