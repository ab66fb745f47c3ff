"""The known corpora: counts that are known, traps that are known, sums that say whether a file is the known one."""

from __future__ import annotations

from pathlib import Path

import pytest

from spamfilter.message import Kind
from trainer.data import corpora
from trainer.data.importers import FORMATS, Report
from trainer.errors import DataError


@pytest.mark.corpus
def test_the_sms_collection_has_its_5574_messages(corpus_dir: Path) -> None:
    messages = list(corpora.sms(corpus_dir))
    assert len(messages) == 5574
    assert sum(bool(m.spam) for m in messages) == 747
    assert messages[0].path == "sms-spam-collection.tsv:1"
    assert {m.kind for m in messages} == {Kind.TEXT}


@pytest.mark.corpus
@pytest.mark.parametrize("name", corpora.LABELLED_FILES)
def test_a_known_corpus_has_its_counts_and_its_sum(name: str, corpus_dir: Path) -> None:
    known = corpora.LABELLED_FILES[name]
    assert corpora.state_of(corpus_dir, known) == "good"
    report = Report()
    sources = {example.source for example in corpora.read(corpus_dir, name, report)}
    assert (report.rows, report.spam, report.bad) == (known.messages, known.spam, 0)
    assert sources == {name}


@pytest.mark.corpus
@pytest.mark.parametrize("known", corpora.OTHER_FILES, ids=lambda known: known.file)
def test_a_known_file_has_its_sum(known: corpora.KnownFile, corpus_dir: Path) -> None:
    assert corpora.state_of(corpus_dir, known) == "good"


@pytest.mark.corpus
def test_enron_bodies_are_not_read_as_headers(corpus_dir: Path) -> None:
    example = next(corpora.enron(corpus_dir))
    first, blank, _ = example.raw.split(b"\n", 2)
    assert first.startswith(b"Subject:") and blank == b""


@pytest.mark.corpus
def test_the_fixed_test_list_is_in_the_corpus(corpus_dir: Path) -> None:
    listed = corpora.spamassassin_test(corpus_dir)
    assert len(listed) == 1209
    assert listed <= {example.path for example in corpora.spamassassin(corpus_dir)}


@pytest.mark.corpus
def test_plain_texts_for_pretraining(corpus_dir: Path) -> None:
    articles = [source for source, _ in corpora.plain_texts(corpus_dir)]
    assert articles.count("us-gov-blogs") == 3007
    assert articles.count("wikitext-2") > 100
    assert len(corpora.the_verdict(corpus_dir)) == 20479


def test_missing_corpora_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"sms-spam-collection\.tsv: no such file; .* says where it comes from"):
        list(corpora.sms(tmp_path))
    monkeypatch.setenv(corpora.ENVIRONMENT, str(tmp_path))
    assert corpora.data_dir() == tmp_path


def test_a_bad_row_in_a_known_corpus_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sms-spam-collection.tsv").write_bytes(b"ham\thi\neggs\tx\n")
    with pytest.raises(DataError, match=r"tsv:2: wrong label"):
        list(corpora.sms(tmp_path))


def test_a_file_is_missing_or_differs(tmp_path: Path) -> None:
    known = corpora.LABELLED_FILES["sms"]
    assert corpora.state_of(tmp_path, known) == "missing"
    (tmp_path / known.file).write_bytes(b"ham\thi\n")
    assert corpora.state_of(tmp_path, known) == "differs"


def test_every_known_corpus_has_a_reader_a_format_an_origin_and_a_licence() -> None:
    assert list(corpora.LABELLED) == list(corpora.LABELLED_FILES)
    for known in (*corpora.LABELLED_FILES.values(), *corpora.OTHER_FILES):
        assert known.origin and known.licence and len(known.sha256) == 64
    assert {known.format for known in corpora.LABELLED_FILES.values()} <= set(FORMATS)
