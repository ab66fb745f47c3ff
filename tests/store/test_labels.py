"""Labels: the last one wins, what is taken back was never said, and what is forgotten is gone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import URL, Engine, select, update

from spamfilter.correction import Provenance
from spamfilter.document import EXTRACTION
from spamfilter.store.database import SQLITE_NAME, StoreError, migrate, open_database
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.examples import (
    pack_document,
    storable,
)
from spamfilter.store.history import History
from spamfilter.store.label_reader import LabelReader
from spamfilter.store.labels import Change, LabelStore
from spamfilter.store.schema import examples
from spamfilter.store.seal import SealError
from spamfilter.verdict import Label
from tests.store.conftest import Make
from tests.store.labelling import ALICE, BOB, HAM, SPAM, WORD, Open, example, mail, reading, sealer


def on_disk(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith(SQLITE_NAME))


def test_a_first_label(labels: LabelStore) -> None:
    one = example(reading=reading())
    before = datetime.now(UTC)
    assert labels.record(one, SPAM, ALICE) == Change(None, SPAM)
    assert labels.label_of(one.content) is SPAM
    kept = labels.get(one.content)
    assert kept is not None and kept.reading is not None
    assert (kept.content, kept.label, kept.provenance, kept.kind, kept.size) == (
        *(one.content, SPAM, ALICE, one.kind, one.size),
    )
    assert before <= kept.time <= datetime.now(UTC)
    assert kept.document == one.document
    assert dict(kept.document.facts) == dict(one.document.facts)
    assert (kept.extraction, kept.raw) == (EXTRACTION, None)
    assert (kept.reading.model_id, kept.reading.probability) == ("m-1", 0.25)
    assert (kept.reading.fingerprint == reading().fingerprint).all()
    assert (kept.reading.pooled == reading().pooled).all() and kept.reading.pooled.dtype == np.float16


def test_nothing_is_known_of_what_nobody_labelled(labels: LabelStore) -> None:
    assert labels.label_of("0" * 64) is None
    assert labels.get("0" * 64) is None
    assert labels.undo("0" * 64) == labels.forget("0" * 64, ALICE) == Change(None, None)
    assert labels.corrections() == []


def test_the_last_label_wins(labels: LabelStore) -> None:
    one = example()
    labels.record(one, SPAM, ALICE)
    assert labels.record(one, HAM, BOB) == Change(SPAM, HAM)
    kept = labels.get(one.content)
    assert kept is not None
    assert (kept.label, kept.provenance) == (HAM, BOB)
    assert [(said.label, said.provenance) for said in labels.corrections(one.content)] == [(SPAM, ALICE), (HAM, BOB)]
    assert labels.counts().by_label == {HAM: 1, SPAM: 0}
    assert labels.counts().by_who == {"bob": {HAM: 1}}


def test_the_last_label_wins_whatever_the_clock_says(labels: LabelStore) -> None:
    one = example()
    labels.record(one, SPAM, ALICE, time=datetime.now(UTC) + timedelta(hours=1))
    labels.record(one, HAM, BOB)
    assert labels.label_of(one.content) is HAM
    times = [said.time for said in labels.corrections(one.content)]
    assert times == sorted(times)


def test_the_same_said_again_by_the_same_is_no_event(labels: LabelStore) -> None:
    one = example()
    labels.record(one, SPAM, ALICE)
    assert labels.record(one, SPAM, ALICE) == Change(SPAM, SPAM)
    assert len(labels.corrections()) == 1
    labels.record(one, SPAM, BOB)
    assert len(labels.corrections()) == 2
    assert labels.undo(one.content) == Change(SPAM, SPAM)  # alice still says so


def test_unsure_is_nobodys_label(labels: LabelStore) -> None:
    with pytest.raises(ValueError, match="people say ham or spam"):
        labels.record(example(), Label.UNSURE, ALICE)


def test_undo_and_undo_again(labels: LabelStore) -> None:
    one = example()
    labels.record(one, SPAM, ALICE)
    first = labels.get(one.content)
    labels.record(one, HAM, BOB)
    assert labels.undo(one.content, ALICE) == Change(HAM, SPAM)
    again = labels.get(one.content)
    assert first is not None and again is not None
    assert (again.label, again.provenance, again.time) == (SPAM, ALICE, first.time)
    assert labels.undo(one.content) == Change(SPAM, None)
    assert labels.get(one.content) is None
    assert labels.undo(one.content) == Change(None, None)
    assert [said.label for said in labels.corrections(undone=True)] == [SPAM, HAM]
    assert labels.record(one, SPAM, BOB) == Change(None, SPAM)


def test_a_label_without_a_reading_keeps_the_one_that_was_there(labels: LabelStore) -> None:
    labels.record(example(reading=reading()), SPAM, ALICE)
    labels.record(example(), HAM, BOB)
    kept = labels.get(example().content)
    assert kept is not None and kept.reading is not None and kept.reading.model_id == "m-1"


def test_a_reading_by_another_model(labels: LabelStore) -> None:
    one = example(reading=reading())
    labels.record(one, SPAM, ALICE)
    labels.note(one.content, reading("m-2"))
    labels.note("0" * 64, reading("m-2"))
    (kept,) = labels.remembered(SPAM, 10)
    assert kept.reading is not None and kept.reading.model_id == "m-2"
    assert kept.readable


def test_a_fingerprint_of_another_version_does_not_count(labels: LabelStore, tmp_path: Path) -> None:
    one = example(reading=reading())
    labels.record(one, SPAM, ALICE)
    with closing(sqlite3.connect(tmp_path / SQLITE_NAME)) as connection, connection:
        connection.execute("UPDATE examples SET fingerprint = CAST(x'ffffffff' || substr(fingerprint, 5) AS BLOB)")
    assert labels.remembered(SPAM, 10)[0].reading is None


def test_the_newest_are_remembered_first(labels: LabelStore) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for day in range(5):
        labels.record(example(mail(f"day {day}")), SPAM, ALICE, time=start + timedelta(days=day))
    labels.record(example(mail("ham")), HAM, ALICE)
    assert [one.time.day for one in labels.remembered(SPAM, 3)] == [5, 4, 3]
    assert [one.time.day for one in labels.labelled(label=SPAM)] == [1, 2, 3, 4, 5]
    assert [one.time.day for one in labels.labelled(start + timedelta(days=3), label=SPAM)] == [4, 5]
    assert next(labels.labelled(newest_first=True)).label is HAM
    assert list(labels.labelled(who="bob")) == []


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_of_labels_of_one_moment(labels: LabelStore, monkeypatch: pytest.MonkeyPatch, newest_first: bool) -> None:
    monkeypatch.setattr("spamfilter.store.label_reader.PAGE", 3)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    wanted = set()
    for number in range(10):
        one = example(mail(f"{number}"))
        labels.record(one, HAM, ALICE, time=moment + timedelta(days=number // 7))
        wanted.add(one.content)
    found = [one.content for one in labels.labelled(newest_first=newest_first)]
    assert len(found) == 10
    assert set(found) == wanted


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("keep_raw", [False, True])
def test_what_is_forgotten_is_in_no_byte(opened: Open, url: URL, tmp_path: Path, sealed: bool, keep_raw: bool) -> None:
    if sealed:
        pytest.importorskip("cryptography")
    store = opened(seal=sealer() if sealed else None, keep_raw=keep_raw)
    # not compressible, or the word would not stand in the file as it is
    raw = b"Subject: " + WORD + b"\n\n" + WORD + b"\n" + bytes(range(1, 255)) * 40
    one = example(raw)
    for number in range(20):
        store.record(example(mail(f"other {number}", b"text %d " % number * 200)), HAM, ALICE)
    store.record(one, SPAM, Provenance("quisquilious", "folder"))
    seen = on_disk(tmp_path)
    assert (WORD in seen) == (keep_raw and not sealed)
    assert b"quisquilious" in seen
    packed = pack_document(one.document)
    assert (packed[10:60] in seen) == (not sealed)
    assert store.forget(one.content, ALICE) == Change(SPAM, None)
    assert store.scrub()
    left = on_disk(tmp_path)
    assert WORD not in left
    assert b"quisquilious" not in left
    assert packed[10:60] not in left
    assert store.get(one.content) is None
    (tombstone,) = store.corrections(one.content)
    assert (tombstone.label, tombstone.provenance) == (None, ALICE)
    assert len(list(store.labelled())) == 20


def test_forgotten_means_nothing_to_undo(labels: LabelStore) -> None:
    one = example()
    labels.record(one, SPAM, ALICE)
    labels.forget(one.content, BOB)
    assert labels.undo(one.content) == Change(None, None)
    assert labels.forget(one.content, BOB) == Change(None, None)
    assert labels.record(one, HAM, ALICE) == Change(None, HAM)
    assert labels.undo(one.content) == Change(HAM, None)
    assert labels.get(one.content) is None


def test_what_was_taken_back_can_be_forgotten(labels: LabelStore) -> None:
    one = example()
    labels.record(one, SPAM, ALICE)
    labels.undo(one.content)
    assert labels.forget(one.content, BOB) == Change(None, None)
    assert labels.corrections(undone=True) == []


def test_sealed_examples_need_their_key(opened: Open, url: URL) -> None:
    pytest.importorskip("cryptography")
    one = example()
    opened(seal=sealer(), keep_raw=True).record(one, SPAM, ALICE)
    kept = opened(seal=sealer()).get(one.content)
    assert kept is not None
    assert (kept.document, kept.raw) == (one.document, one.raw)
    with pytest.raises(SealError, match="is sealed, and there is no key file"):
        opened().get(one.content)
    with pytest.raises(SealError, match="sealed with another key"):
        opened(seal=sealer(bytes(range(32)))).get(one.content)
    assert opened().label_of(one.content) is SPAM  # labels can be read, counted and forgotten without it
    assert opened().forget(one.content, ALICE) == Change(SPAM, None)


def test_a_sealed_row_does_not_open_in_anothers_place(opened: Open, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    store = opened(seal=sealer())
    one, other = example(mail("one")), example(mail("two"))
    store.record(one, SPAM, ALICE)
    store.record(other, HAM, ALICE)
    with closing(sqlite3.connect(tmp_path / SQLITE_NAME)) as connection, connection:
        connection.execute(
            "UPDATE examples SET document = (SELECT document FROM examples WHERE content = ?) WHERE content = ?",
            (one.content, other.content),
        )
    with pytest.raises(SealError, match="damaged"):
        store.get(other.content)


def test_sealing_what_is_kept_open(opened: Open, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    opened(keep_raw=True).record(example(mail(body=WORD)), SPAM, ALICE)
    store = opened(seal=sealer(), keep_raw=True)
    assert WORD in on_disk(tmp_path)
    assert store.seal_all() == 1
    assert store.seal_all() == 0
    assert store.scrub()
    assert WORD not in on_disk(tmp_path)
    kept = next(iter(store.labelled()))
    assert kept.raw == mail(body=WORD)
    with pytest.raises(SealError, match="no key to seal with"):
        opened().seal_all()


def _other_extraction(url: URL) -> None:
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        connection.execute(update(examples).values(extraction="1-1-1"))
    engine.dispose()


def test_a_document_of_another_extraction_is_not_read(opened: Open, url: URL) -> None:
    store = opened()
    store.record(example(), SPAM, ALICE)
    _other_extraction(url)
    (kept,) = store.labelled()
    assert (kept.document, kept.extraction, kept.label) == (None, "1-1-1", SPAM)
    assert not store.remembered(SPAM, 1)[0].readable


def test_a_document_of_another_extraction_is_made_anew_from_the_bytes(opened: Open, url: URL) -> None:
    store = opened(keep_raw=True)
    store.record(example(), SPAM, ALICE)
    _other_extraction(url)
    (kept,) = store.labelled()
    assert (kept.document, kept.extraction) == (example().document, EXTRACTION)
    assert store.remembered(SPAM, 1)[0].readable


def test_a_damaged_document_is_said(labels: LabelStore, url: URL) -> None:
    labels.record(example(), SPAM, ALICE)
    engine = open_database(url, writer=True)
    with engine.begin() as connection:
        connection.execute(update(examples).values(document=b"not zlib"))
    engine.dispose()
    with pytest.raises(StoreError, match=f"example {example().content[:12]} is damaged"):
        list(labels.labelled())


def test_retention(opened: Open) -> None:
    store = opened(retention_days=30)
    now = datetime.now(UTC)
    old, young, forgotten = example(mail("old")), example(mail("young")), example(mail("forgotten"))
    store.record(old, SPAM, ALICE, time=now - timedelta(days=31))
    store.record(young, SPAM, ALICE, time=now - timedelta(days=40))
    store.record(young, HAM, BOB, time=now - timedelta(days=29))
    store.record(forgotten, SPAM, ALICE, time=now - timedelta(days=50))
    store.forget(forgotten.content, ALICE, time=now - timedelta(days=45))
    assert store.prune(now=now) == 1
    assert store.get(old.content) is None
    assert [said.content for said in store.corrections()] == [young.content, young.content]
    assert store.prune(now=now) == 0


def test_without_retention_nothing_goes(labels: LabelStore) -> None:
    labels.record(example(), SPAM, ALICE, time=datetime(1999, 1, 1, tzinfo=UTC))
    assert labels.prune() == 0
    assert labels.label_of(example().content) is SPAM


def test_finding_by_the_beginning_of_the_hash(labels: LabelStore) -> None:
    one = example()
    labels.record(one, SPAM, ALICE)
    assert labels.find(one.content[:8].upper()) == one.content
    for prefix, why in (("abc", "is no hash"), ("%%%%%", "is no hash"), ("", "is no hash"), ("0" * 64, "nothing")):
        with pytest.raises(StoreError, match=why):
            labels.find(prefix)


def test_labels_and_decisions_in_one_file(labels: LabelStore, url: URL, make: Make) -> None:
    decisions = DecisionStore(url)
    decisions.open()
    for number in range(200):
        decisions.record(*make(raw=mail(f"{number}")))
        labels.record(example(mail(f"{number}")), SPAM, ALICE)
    decisions.close()
    assert decisions.dropped == 0
    assert labels.counts().by_label[SPAM] == 200
    with History(url) as history:
        assert history.count() == 200


def test_a_database_of_the_version_before_keeps_its_decisions(url: URL, make: Make, tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    engine = open_database(url, writer=True)
    config = Config()
    config.set_main_option("script_location", "spamfilter.store:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / SQLITE_NAME)) as connection, connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert "labels" not in names
        connection.execute(
            "INSERT INTO decisions (id, time, channel, rcpt_tos, sha256, size, stages, action, timings, disposition)"
            " VALUES ('a1', '2026-01-01 00:00:00.000000', 'smtp', '[]', 'ab', 3, '{}', 'tag', '{}', 'delivered')"
        )
    with pytest.raises(StoreError, match="of an older version"):
        LabelReader(url).open()
    engine = open_database(url, writer=True)
    migrate(engine)
    engine.dispose()
    with History(url) as history:
        assert history.get("a1").disposition == "delivered"
    with LabelReader(url) as reader:
        assert reader.corrections() == []


def test_a_new_file_that_another_process_makes_at_once(opened: Open, url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def locked_once(engine: Engine) -> None:
        tried.append(1)
        if len(tried) == 1:
            raise StoreError("database is locked")
        migrate(engine)

    monkeypatch.setattr("spamfilter.store.labels.migrate", locked_once)
    assert opened().corrections() == []
    assert len(tried) == 2


def test_a_reader_without_a_database(tmp_path: Path, url: URL) -> None:
    with pytest.raises(StoreError, match="there are no labels yet; `spamfilter learn` takes them"):
        LabelReader(url).open()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("before", "after"), [(None, 0o600), (0o644, 0o640), (0o600, 0o600)])
def test_the_file_is_closed_to_others(opened: Open, tmp_path: Path, before: int | None, after: int) -> None:
    path = tmp_path / SQLITE_NAME
    if before is not None:
        path.touch()
        path.chmod(before)
    opened()
    assert path.stat().st_mode & 0o777 == after


def test_a_reader_does_not_write(labels: LabelStore, url: URL) -> None:
    labels.record(example(), SPAM, ALICE)
    with LabelReader(url) as reader:
        assert reader.label_of(example().content) is SPAM
        assert reader._reading._engine is not None
        with pytest.raises(Exception, match="readonly"), reader._reading._engine.begin() as connection:
            connection.execute(update(examples).values(label="ham"))
    with pytest.raises(StoreError, match="are closed"):
        reader.label_of("x")


def test_what_strangers_wrote_is_stored_as_text_of_bounded_length(labels: LabelStore) -> None:
    labels.record(example(), SPAM, Provenance("\0\udcff" + "x" * 1000, "how" * 100, "channel" * 100))
    (said,) = labels.corrections()
    assert said.provenance.who.startswith("\\x00\\udcffxxx")
    assert (len(said.provenance.who), len(said.provenance.how), len(said.provenance.channel)) == (200, 64, 32)
    assert storable("plain") == "plain"


def test_postgresql_takes_the_same_queries() -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    dialect = postgresql.dialect()
    assert "document BYTEA NOT NULL" in str(CreateTable(examples).compile(dialect=dialect))
    found = select(examples.c.content).where(examples.c.sealed.is_(False), examples.c.raw.is_not(None))
    assert "examples.sealed IS false" in str(found.compile(dialect=dialect))
