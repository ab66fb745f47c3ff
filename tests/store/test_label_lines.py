"""Labels from host to host: everything arrives, the later label stands, and no line is believed unseen."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL

from spamfilter.store.labels import Change, LabelStore
from tests.store.labelling import ALICE, BOB, HAM, SPAM, WORD, Open, example, mail, reading, sealer


class TestExport:
    """From one host to another."""

    @pytest.fixture
    def elsewhere(self, opened: Open, tmp_path: Path) -> LabelStore:
        return opened(URL.create("sqlite", database=str(tmp_path / "elsewhere.sqlite3")), keep_raw=True)

    def _exported(self, store: LabelStore) -> bytes:
        out = io.BytesIO()
        store.export(out)
        return out.getvalue()

    @pytest.mark.parametrize("keep_raw", [False, True])
    def test_everything_arrives(self, opened: Open, elsewhere: LabelStore, keep_raw: bool) -> None:
        store = opened(keep_raw=keep_raw)
        gone = example(mail("gone"))
        store.record(gone, SPAM, ALICE)
        store.forget(gone.content, BOB)
        store.record(example(mail("a"), reading()), SPAM, ALICE)
        store.record(example(b"\xff\x00 no mail \n"), HAM, BOB)
        taken = elsewhere.take(io.BytesIO(self._exported(store)))
        assert (taken.new, taken.changed, taken.older, taken.bad) == (2, 0, 1, [])
        ours, theirs = list(store.labelled()), list(elsewhere.labelled())
        for mine, copy in zip(ours, theirs, strict=True):
            assert (mine.content, mine.label, mine.provenance, mine.time, mine.document, mine.raw, mine.size) == (
                *(copy.content, copy.label, copy.provenance, copy.time, copy.document, copy.raw, copy.size),
            )
            assert copy.reading is None
        again = elsewhere.take(io.BytesIO(self._exported(store)))
        assert (again.new, again.changed, again.older) == (0, 0, 3)

    def test_the_later_label_stands(self, labels: LabelStore, elsewhere: LabelStore) -> None:
        now = datetime.now(UTC)
        for hours, label, store in ((3, SPAM, labels), (2, HAM, elsewhere)):
            store.record(example(mail("x")), label, ALICE, time=now - timedelta(hours=hours))
        for hours, label, store in ((1, SPAM, labels), (2, HAM, elsewhere)):
            store.record(example(mail("y")), label, ALICE, time=now - timedelta(hours=hours))
        taken = elsewhere.take(io.BytesIO(self._exported(labels)))
        assert (taken.new, taken.changed, taken.older) == (0, 1, 1)
        assert elsewhere.label_of(example(mail("x")).content) is HAM
        assert elsewhere.label_of(example(mail("y")).content) is SPAM
        assert elsewhere.undo(example(mail("y")).content) == Change(SPAM, HAM)

    def test_forgotten_there_is_forgotten_here(self, labels: LabelStore, elsewhere: LabelStore) -> None:
        one = example(mail("x"))
        labels.record(one, SPAM, ALICE)
        old = self._exported(labels)
        elsewhere.take(io.BytesIO(old))
        labels.forget(one.content, BOB)
        assert elsewhere.take(io.BytesIO(self._exported(labels))).forgotten == 1
        assert elsewhere.get(one.content) is None
        assert elsewhere.take(io.BytesIO(old)).older == 1
        assert elsewhere.get(one.content) is None

    def test_taken_back_here_does_not_come_back(self, labels: LabelStore) -> None:
        labels.record(example(), SPAM, ALICE)
        old = self._exported(labels)
        labels.undo(example().content)
        assert labels.take(io.BytesIO(old)).older == 1
        assert labels.label_of(example().content) is None

    def test_a_clock_that_runs_ahead_does_not_win_for_ever(self, labels: LabelStore, elsewhere: LabelStore) -> None:
        labels.record(example(), SPAM, ALICE, time=datetime.now(UTC) + timedelta(days=3000))
        elsewhere.take(io.BytesIO(self._exported(labels)))
        kept = elsewhere.get(example().content)
        assert kept is not None
        assert kept.time <= datetime.now(UTC)

    def test_sealed_is_exported_open_and_sealed_again(self, opened: Open, elsewhere: LabelStore) -> None:
        pytest.importorskip("cryptography")
        store = opened(seal=sealer(), keep_raw=True)
        store.record(example(mail(body=WORD)), SPAM, ALICE)
        elsewhere.take(io.BytesIO(self._exported(store)))
        assert [one.raw for one in elsewhere.labelled()] == [mail(body=WORD)]

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"content": "../../etc"}, "content is no hash"),
            ({"content": 3}, "content is no hash"),
            ({"label": "unsure"}, "label is not"),
            ({"label": []}, "label is not"),
            ({"time": "2026-01-01T00:00:00"}, "time has no zone"),
            ({"time": "yesterday"}, "Invalid isoformat"),
            ({"who": None}, "who, how and channel are texts"),
            ({"kind": "fax"}, "not a valid Kind"),
            ({"size": -1}, "size is no number"),
            ({"size": True}, "size is no number"),
            ({"raw": "!!!"}, "raw is not base64"),
            ({"raw": "aGFsbG8="}, "raw is not the message"),
            ({"raw": None, "extraction": "1-1-1"}, "its document is of extraction 1-1-1"),
            ({"raw": None, "document": {"kind": "mail", "text": 7}}, "document.text is no text"),
            ({"raw": None, "document": None}, "a document is an object"),
        ],
    )
    def test_a_bad_line_costs_only_itself(
        self, opened: Open, elsewhere: LabelStore, change: dict[str, object], why: str
    ) -> None:
        store = opened(keep_raw=True)
        store.record(example(), SPAM, ALICE)
        good = self._exported(store)
        bad = json.dumps({**json.loads(good), **change}).encode()
        taken = elsewhere.take(io.BytesIO(b"\n".join((bad, b"{", b"[]", b"\xff", b'{"content": "x"}', b"", good))))
        assert (taken.new, taken.bad_count) == (1, 5)
        assert why in taken.bad[0]
        assert taken.bad[0].startswith("line 1: ")
        assert elsewhere.label_of(example().content) is SPAM

    def test_a_line_that_lacks_something(self, labels: LabelStore) -> None:
        taken = labels.take(io.BytesIO(b'{"content": "' + b"0" * 64 + b'"}\n'))
        assert taken.bad == ["line 1: time is missing"]
