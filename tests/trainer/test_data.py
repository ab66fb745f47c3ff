"""Corpora to rows: counts that are known, traps that are known, groups that do not part a campaign."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spamfilter import facts
from spamfilter.document import extract, render
from spamfilter.message import Kind
from trainer.data import corpora
from trainer.data.corpora import Example
from trainer.data.prepared import fact_matrix, fingerprint, prepare, render_columns, row
from trainer.errors import DataError


@pytest.mark.corpus
def test_the_sms_collection_has_its_5574_messages(corpus_dir: Path) -> None:
    messages = list(corpora.sms(corpus_dir))
    assert len(messages) == 5574
    assert sum(m.spam for m in messages) == 747


@pytest.mark.corpus
def test_the_fixed_test_list_is_in_the_corpus_and_in_no_training_part(corpus_dir: Path, tmp_path: Path) -> None:
    listed = corpora.spamassassin_test(corpus_dir)
    assert len(listed) == 1209
    table = prepare(corpus_dir, tmp_path / "prepared.jsonl", sources=["spamassassin"], workers=2)
    assert len(table) == 6046 and int(table["spam"].sum()) == 1896
    test = table[table["part"] == "test"]
    assert set(test["path"]) == listed
    elsewhere = table[table["part"].isin(["train", "holdout"])]
    assert not set(elsewhere["path"]) & listed
    assert not set(elsewhere["group"]) & set(test["group"])
    assert not set(table[table["part"] == "train"]["group"]) & set(table[table["part"] == "holdout"]["group"])
    again = prepare(corpus_dir, tmp_path / "prepared.jsonl", sources=["spamassassin"])
    assert again["group"].to_list() == table["group"].to_list()


@pytest.mark.corpus
def test_enron_bodies_are_not_read_as_headers(corpus_dir: Path) -> None:
    example = next(corpora.enron(corpus_dir))
    first, blank, _ = example.raw.split(b"\n", 2)
    assert first.startswith(b"Subject:") and blank == b""


def test_missing_corpora_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"sms-spam-collection\.tsv"):
        list(corpora.sms(tmp_path))
    monkeypatch.setenv(corpora.ENVIRONMENT, str(tmp_path))
    assert corpora.data_dir() == tmp_path


def test_a_campaign_is_one_group() -> None:
    assert fingerprint("s", "win 500 dollars now!!") == fingerprint("t", "win 900 dollars, now")
    assert fingerprint("s", "win 500 dollars") != fingerprint("s", "see you at nine")
    assert fingerprint("only a subject", "") == fingerprint("Only a subject 2", "")


def test_unknown_facts_are_not_absent_ones() -> None:
    import pandas as pd

    mail = b"From: a@example.org\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nTo: b@example.net\nSubject: x\n\nhello\n"
    rows = [row(Example("s", "1", False, mail, Kind.MAIL)), row(Example("s", "2", True, b"hello", Kind.TEXT))]
    matrix = fact_matrix(pd.DataFrame(rows))
    assert matrix.shape == (2, len(facts.NAMES))
    assert not np.isnan(matrix[0]).any()
    assert matrix[0, facts.NAMES.index("message_id_missing")] == 1
    assert np.isnan(matrix[1, : len(facts.HEADER_FACTS)]).all()
    assert not np.isnan(matrix[1, -len(facts.TEXT_FACTS) :]).any()


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (Kind.TEXT, b"CALL NOW TO CLAIM YOUR PRIZE http://prize.example/x"),
        (
            Kind.MAIL,
            b"From: A <a@example.org>\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: HI\n\nSEE YOU ON MONDAY\n",
        ),
        (Kind.MAIL, b"Subject: only\n\na subject"),
    ],
    ids=["text", "mail", "mail without a sender"],
)
def test_what_is_trained_on_is_what_is_served(kind: Kind, raw: bytes) -> None:
    import pandas as pd

    heads, tails = render_columns(pd.DataFrame([row(Example("s", "1", True, raw, kind))]))
    assert (heads[0], tails[0]) == render(extract(raw, kind))
    assert kind is Kind.MAIL or heads[0].startswith("call now")
