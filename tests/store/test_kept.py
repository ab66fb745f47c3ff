"""Mail kept for corrections: whole when it is there, gone when it is old, never in the way."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import URL
from structlog.testing import capture_logs

from spamfilter.message import Message
from spamfilter.store import kept
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.kept import KeptMail, forget_kept, kept_message
from spamfilter.store.seal import SealError
from tests.store.conftest import Make
from tests.store.labelling import WORD, sealer

NOW = datetime.now(UTC)
RAW = b"Subject: hi\r\n\r\n" + WORD * 100


def _keep(folder: Path, *messages: Message, days: int = 7, **options: object) -> KeptMail:
    mail = KeptMail(folder, days, **options)  # type: ignore[arg-type]
    mail.open()
    for message in messages:
        mail.keep(message)
    mail.close()
    return mail


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    mail = _keep(tmp_path / "kept", Message(RAW, "smtp", id="aa1"), Message(b"", "smtp", id="aa2"))
    assert kept_message(tmp_path / "kept", "aa1", NOW) == RAW
    assert kept_message(tmp_path / "kept", "aa2", NOW) == b""
    assert kept_message(tmp_path / "kept", "aa3", NOW) is None
    assert mail.left_out == 0


def test_it_is_small_and_for_its_owner_only(tmp_path: Path) -> None:
    _keep(tmp_path / "kept", Message(RAW, "smtp", id="aa1"))
    [file] = (path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    assert file.stat().st_size < len(RAW) / 5
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_what_was_written_after_midnight_is_found(tmp_path: Path) -> None:
    _keep(tmp_path, Message(RAW, "smtp", id="aa1"))
    assert kept_message(tmp_path, "aa1", NOW - timedelta(days=1)) == RAW
    assert kept_message(tmp_path, "aa1", NOW - timedelta(days=3)) is None


def test_with_a_key_it_is_sealed(tmp_path: Path) -> None:
    _keep(tmp_path, Message(WORD, "smtp", id="aa1"), seal=sealer())
    assert not any(WORD in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert kept_message(tmp_path, "aa1", NOW, seal=sealer()) == WORD
    with pytest.raises(SealError, match="kept aa1 is sealed, and there is no key file"):
        kept_message(tmp_path, "aa1", NOW)
    with pytest.raises(SealError, match="sealed with another key"):
        kept_message(tmp_path, "aa1", NOW, seal=sealer(b"x" * 32))


def test_a_sealed_file_opens_under_its_own_name_only(tmp_path: Path) -> None:
    _keep(tmp_path, Message(RAW, "smtp", id="aa1"), seal=sealer())
    [file] = (path for path in tmp_path.rglob("*") if path.is_file())
    file.rename(file.with_name("aa2"))
    with pytest.raises(SealError, match="damaged"):
        kept_message(tmp_path, "aa2", NOW, seal=sealer())


@pytest.mark.parametrize("id_", ["../../etc/passwd", "a/b", "", ".", "..", "x" * 65, "a\0b", "a\n"])
def test_an_id_is_no_path(tmp_path: Path, id_: str) -> None:
    mail = _keep(tmp_path / "kept", Message(RAW, "smtp", id=id_))
    assert mail.left_out == 1
    assert kept_message(tmp_path / "kept", id_, NOW) is None
    assert forget_kept(tmp_path / "kept", id_) is False
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_days_that_are_over_go_and_nothing_else(tmp_path: Path) -> None:
    for age in (0, 7, 8, 400):
        day = tmp_path / (NOW.date() - timedelta(days=age)).isoformat()
        day.mkdir()
        (day / "aa1").touch()
    (tmp_path / "mine").mkdir()
    _keep(tmp_path, days=7)
    assert {path.name for path in tmp_path.iterdir()} == {
        NOW.date().isoformat(), (NOW.date() - timedelta(days=7)).isoformat(), "mine"
    }  # fmt: skip


def test_a_message_can_be_forgotten(tmp_path: Path) -> None:
    _keep(tmp_path, Message(RAW, "smtp", id="aa1"))
    assert forget_kept(tmp_path, "aa1") is True
    assert forget_kept(tmp_path, "aa1") is False
    assert kept_message(tmp_path, "aa1", NOW) is None


def test_with_no_days_nothing_is_kept_and_what_was_goes(tmp_path: Path) -> None:
    _keep(tmp_path, Message(RAW, "smtp", id="aa1"))
    mail = _keep(tmp_path, Message(RAW, "smtp", id="aa2"), days=0)
    assert list(tmp_path.iterdir()) == []
    assert mail.left_out == 0


def test_too_large_and_too_much_at_once_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 100)
    monkeypatch.setattr(kept, "WAITING_BYTES", 250)
    mail = KeptMail(tmp_path, 1)  # not opened: what waits stays
    with capture_logs() as logs:
        mail.keep(Message(b"x" * 101, "smtp", id="large"))
        for number in range(3):
            mail.keep(Message(b"x" * 100, "smtp", id=f"a{number}"))
    assert mail.left_out == 2
    assert [entry["so_far"] for entry in logs if entry["event"] == "mail_not_kept"] == [1, 2]


def test_a_disk_that_takes_nothing_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()  # no folder can be made there
    with capture_logs() as logs:
        mail = _keep(tmp_path / "kept", *(Message(RAW, "smtp", id=f"a{number}") for number in range(3)))
    assert mail.left_out == 3
    assert [entry["event"] for entry in logs].count("mail_cannot_be_kept") == 1


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    _keep(tmp_path, Message(RAW, "smtp", id="aa1"))
    [file] = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(b"znonsense")
    assert kept_message(tmp_path, "aa1", NOW) is None


def test_the_decision_log_has_its_mail_kept(tmp_path: Path, url: URL, make: Make) -> None:
    store = DecisionStore(url, keeper=KeptMail(tmp_path / "kept", 7))
    store.open()
    message, decision = make(raw=RAW)
    store.record(message, decision)
    store.close()
    assert kept_message(tmp_path / "kept", message.id, NOW) == RAW
    assert not any(thread.name == "kept-mail" for thread in threading.enumerate())
