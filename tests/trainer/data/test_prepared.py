"""From messages to the table: groups that do not part a campaign, parts that do not leak, a cache that ages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spamfilter import facts
from spamfilter.document import extract, render
from spamfilter.message import Kind
from tests.trainer.data.small import CAMPAIGN, SOURCES, TESTED, mail, small_data
from trainer.data import corpora, imported
from trainer.data.example import Example
from trainer.data.importers import Report
from trainer.data.prepared import fact_matrix, fingerprint, fingerprint_of, prepare, render_columns, row

COLUMNS = {"source", "path", "spam", "kind", "preamble", "text", "tail", "facts", "known", "group", "part"}


@pytest.mark.corpus
def test_the_fixed_test_list_is_in_no_training_part(corpus_dir: Path, tmp_path: Path) -> None:
    listed = corpora.spamassassin_test(corpus_dir)
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


def by_path(table: pd.DataFrame, column: str) -> dict[str, str]:
    return dict(zip(table["path"], table[column], strict=True))


def test_the_table_is_extracted_once_and_again_when_an_import_comes(tmp_path: Path) -> None:
    data, run = small_data(tmp_path), tmp_path / "run"
    out = run / "data" / "prepared.jsonl"
    first = prepare(data, out, sources=SOURCES, workers=1, run=run)
    assert set(first.columns) == COLUMNS and len(first) == 17
    part, group = by_path(first, "part"), by_path(first, "group")
    assert part[TESTED] == "test"
    assert part["spamassassin/spam-1/2"] == "dropped", "a varied copy of a test mail trains nothing"
    assert part["spamassassin/easy-ham-1/1"] in ("train", "holdout")
    assert group[TESTED] == group["spamassassin/spam-1/2"] == min(group[TESTED], *_prints(first))
    assert group["sms-spam-collection.tsv:13"] == group["sms-spam-collection.tsv:14"]
    assert len({group[f"sms-spam-collection.tsv:{n}"] for n in (1, 2, 3, 4)}) == 4

    written = out.stat().st_mtime_ns
    again = prepare(data, out, sources=SOURCES, workers=1, run=run)
    assert out.stat().st_mtime_ns == written, "read, not extracted"
    pd.testing.assert_frame_equal(again, first, check_dtype=False)
    assert fingerprint_of(again) == fingerprint_of(first)

    brought = [
        Example("own", "1", True, mail("watches again", CAMPAIGN.format(name="pat", number=7)), Kind.MAIL),
        Example("own", "2", False, b"\xff\xfe is not utf-8 but a message", Kind.TEXT),
        Example("own", "3", None, b"nobody labelled this", Kind.TEXT),
    ]
    imported.save(run, "own", brought, Report(), path="x", format="eml")
    whole = prepare(data, out, sources=SOURCES, workers=1, run=run)
    own = whole[whole["source"] == "own"]
    assert by_path(own, "part") == {"1": "dropped", "2": by_path(own, "part")["2"]}, "unlabelled rows stay out"
    assert fingerprint_of(whole) != fingerprint_of(first)
    assert len(prepare(data, tmp_path / "other.jsonl", sources=["sms"], workers=1)) == 14


def _prints(table: pd.DataFrame) -> list[str]:
    kin = table[table["path"].str.contains("spam-1")]
    return [fingerprint("", text) for text in kin["text"]]


def test_a_table_of_another_version_is_stale(tmp_path: Path) -> None:
    data, out = small_data(tmp_path), tmp_path / "prepared.jsonl"
    prepare(data, out, sources=["sms"], workers=1)
    stamp = json.loads(out.with_suffix(".json").read_text())
    out.with_suffix(".json").write_text(json.dumps({**stamp, "groups": 0}))
    out.write_text("")
    assert len(prepare(data, out, sources=["sms"], workers=1)) == 14


def test_the_fingerprint_of_a_table_knows_rows_and_not_their_order() -> None:
    table = pd.DataFrame(
        {"source": ["a", "a"], "path": ["1", "2"], "group": ["x", "y"], "spam": [0, 1], "text": ["", ""]}
    )
    made = fingerprint_of(table)
    assert len(made) == 12
    assert fingerprint_of(table.iloc[::-1]) == made
    assert fingerprint_of(table.assign(text="other")) == made
    for column, value in (("source", "b"), ("path", "3"), ("group", "z"), ("spam", 1)):
        assert fingerprint_of(table.assign(**{column: value})) != made


def test_a_campaign_is_one_fingerprint() -> None:
    assert fingerprint("s", "win 500 dollars now!!") == fingerprint("t", "win 900 dollars, now")
    assert fingerprint("s", "win 500 dollars") != fingerprint("s", "see you at nine")
    assert fingerprint("only a subject", "") == fingerprint("Only a subject 2", "")


def test_unknown_facts_are_not_absent_ones() -> None:
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
    heads, tails = render_columns(pd.DataFrame([row(Example("s", "1", True, raw, kind))]))
    assert (heads[0], tails[0]) == render(extract(raw, kind))
    assert kind is Kind.MAIL or heads[0].startswith("call now")
