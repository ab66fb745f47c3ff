"""Decisions and labels meet in a message's content: the latest decision before the standing label counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spamfilter.correction import Provenance, content_hash
from spamfilter.document import extract
from spamfilter.message import Message
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.examples import Example
from spamfilter.store.feedback import StoredFeedback
from spamfilter.store.labels import LabelStore
from spamfilter.verdict import Action, Decision, Label, Score, Thresholds, Verdict

RAW = b"Subject: lunch\n\nlunch on monday?\n"
OTHER = b"Subject: other\n\nsomething else\n"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ALICE = Provenance("alice", "command line")


def decided(log: DecisionStore, raw: bytes, model: str, label: Label) -> None:
    message = Message(raw, "smtp")
    score = Score(0.5, {}, model, content=content_hash(raw))
    log.record(message, Decision(message.id, Verdict(label, score, Thresholds(0.4, 0.9)), Action.TAG))
    assert log.flush()


def labelled(labels: LabelStore, raw: bytes, label: Label) -> None:
    copy = b"Received: by mx.example.org; today\r\nX-Spam-Flag: YES\r\n" + raw.replace(b"\n", b"\r\n")
    assert content_hash(copy) == content_hash(raw)
    labels.record(Example(content_hash(copy), Message(copy, "cli").kind, extract(copy), len(copy)), label, ALICE)


@pytest.fixture
def feedback(tmp_path: Path) -> StoredFeedback:
    return StoredFeedback(store_url("", tmp_path))


def test_a_label_finds_its_decision_and_the_latest_counts(tmp_path: Path, feedback: StoredFeedback) -> None:
    url = store_url("", tmp_path)
    log = DecisionStore(url)
    log.open()
    labels = LabelStore(url)
    labels.open()
    try:
        decided(log, RAW, "a", Label.HAM)
        decided(log, RAW, "b", Label.SPAM)
        decided(log, OTHER, "b", Label.SPAM)
        assert list(feedback.corrections(LONG_AGO)) == []
        labelled(labels, RAW, Label.SPAM)
        labelled(labels, RAW, Label.HAM)  # the last word
        [one] = feedback.corrections(LONG_AGO)
        assert (one.model_id, one.said, one.label) == ("b", Label.SPAM, Label.HAM)
        assert list(feedback.corrections(datetime.now(UTC) + timedelta(minutes=1))) == []
        assert (feedback.decisions("a", LONG_AGO), feedback.decisions("b", LONG_AGO)) == (1, 2)
        assert feedback.decisions("b", datetime.now(UTC) + timedelta(minutes=1)) == 0
    finally:
        labels.close()
        log.close()
