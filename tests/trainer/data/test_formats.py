"""Each format read from a folder and from archives: the same messages, labels and paths."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from spamfilter.message import Kind
from tests.trainer.data.made import MAIL, PACKED, folder, imported, labels, packed
from trainer.data.importers import FORMATS

ENRON = b"Subject: money\r\nyou won : a lot of it\r\n"
MBOX = (
    b"From a@example.org Tue Feb  3 10:00:00 2026\nSubject: one\n\nbody\n>From here on\n\n"
    b"From b@example.org Tue Feb  3 11:00:00 2026\nSubject: two\n\nFrom me\nto you\n"
)
CASES = {
    "sms-tsv": (
        {"sms.tsv": b'ham\tsay "hi\nspam\tcall " now\nham\ttwo\ttabs\x85\r\n'},
        {},
        {"sms.tsv:1": False, "sms.tsv:2": True, "sms.tsv:3": False},
    ),
    "spamassassin": (
        {"easy_ham/1": MAIL, "spam-2/1": MAIL, "20030228_hard_ham/x/1": MAIL, "spam-2/cmds": b"mv 1 2\n"},
        {},
        {"20030228_hard_ham/x/1": False, "easy_ham/1": False, "spam-2/1": True},
    ),
    "enron": (
        {"enron1/ham/1.txt": ENRON, "enron1/spam/2.txt": ENRON, "enron1/Summary.txt": b"Legitimate"},
        {},
        {"enron1/ham/1.txt": False, "enron1/spam/2.txt": True},
    ),
    "trec": (
        {
            "data/inmail.1": MAIL,
            "data/inmail.2": MAIL,
            "full/index": b"spam ../data/inmail.1\nham ../data/inmail.2\n",
            "partial/index": b"spam ../data/inmail.1\n",
        },
        {},
        {"data/inmail.1": True, "data/inmail.2": False},
    ),
    "label-index": (
        {"TRAINING/T1.eml": MAIL, "TRAINING/T2.eml": MAIL, "SPAMTrain.label": b"1 T1.eml\n0 T2.eml\n"},
        {"one_is": "ham"},
        {"TRAINING/T1.eml": False, "TRAINING/T2.eml": True},
    ),
    "csv": (
        {"a.csv": b'\xef\xbb\xbfid,label,text\r\n7,spam,"win, now\r\nor ""never"""\r\n8,0,\xe9t\xe9\r\n'},
        {"id_column": "id"},
        {"7": True, "8": False},
    ),
    "jsonl": (
        {"a.jsonl": b'{"text": "win", "label": true}\n\n{"label": "Ham", "text": "\\ud800"}\n{"text":"x","label":1}'},
        {},
        {"a.jsonl:1": True, "a.jsonl:3": False, "a.jsonl:4": True},
    ),
    "mbox": ({"a.mbox": MBOX}, {"label": "spam"}, {"a.mbox:1": True, "a.mbox:7": True}),
    "maildir": (
        {"cur/1:2,S": MAIL, "new/2": MAIL, ".Junk/cur/3": MAIL, "tmp/4": MAIL},
        {"label": "ham"},
        {".Junk/cur/3": False, "cur/1:2,S": False, "new/2": False},
    ),
    "eml": ({"x/1.eml": MAIL, ".DS_Store": b"\0"}, {"label": "none"}, {"x/1.eml": None}),
    "text": (
        {"a.txt": b"one\n<|endoftext|>\ntwo\n<|endoftext|>\n", "b.txt": b"three"},
        {},
        {"a.txt:1": None, "a.txt:2": None, "b.txt:1": None},
    ),
}  # fmt: skip


def test_every_format_has_a_case() -> None:
    assert set(CASES) == set(FORMATS)


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("name", CASES)
def test_a_format_reads_the_same_from_everywhere(name: str, how: str, tmp_path: Path) -> None:
    files, options, wanted = CASES[name]
    found, report = imported(packed(tmp_path, files, how), name, **options)
    assert labels(found) == wanted
    assert report.bad == 0
    assert (report.spam, report.ham, report.unlabelled) == tuple(
        sum(label is kind for label in wanted.values()) for kind in (True, False, None)
    )
    assert {example.source for example in found} == {"made"}


@pytest.mark.parametrize("name", ["sms-tsv", "csv", "jsonl", "mbox", "text"])
def test_a_single_file_may_be_compressed(name: str, tmp_path: Path) -> None:
    files, options, _ = CASES[name]
    [(file, raw), *_] = files.items()
    path = tmp_path / f"{file}.gz"
    path.write_bytes(gzip.compress(raw))
    found, report = imported(path, name, **options)
    assert found and not report.bad
    whole, _ = imported(folder(tmp_path, {file: raw}), name, **options)
    assert [e.raw for e in found] == [e.raw for e in whole]


def test_sms_texts_keep_their_quotes_tabs_and_bytes(tmp_path: Path) -> None:
    found, _ = imported(folder(tmp_path, CASES["sms-tsv"][0]), "sms-tsv")
    assert [e.raw for e in found] == [b'say "hi', b'call " now', b"two\ttabs\x85"]
    assert {e.kind for e in found} == {Kind.TEXT}


def test_an_enron_body_is_not_read_as_headers(tmp_path: Path) -> None:
    found, _ = imported(folder(tmp_path, CASES["enron"][0]), "enron")
    assert found[0].raw == b"Subject: money\n\nyou won : a lot of it\r\n"


def test_an_mbox_is_parted_at_from_lines_after_a_blank_one_and_unquoted(tmp_path: Path) -> None:
    found, _ = imported(folder(tmp_path, CASES["mbox"][0]), "mbox", label="ham")
    assert [e.raw for e in found] == [b"Subject: one\n\nbody\nFrom here on\n", b"Subject: two\n\nFrom me\nto you\n"]


def test_csv_fields_keep_line_breaks_quotes_and_foreign_bytes(tmp_path: Path) -> None:
    found, _ = imported(folder(tmp_path, CASES["csv"][0]), "csv")
    assert [e.raw for e in found] == [b'win, now\r\nor "never"', b"\xe9t\xe9"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_takes_the_delimiter_from_its_header(delimiter: str, tmp_path: Path) -> None:
    lines = [["v1", "v2"], ["ham", "hi"], ["spam", "win"]]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(delimiter.join(line) for line in lines))
    found, _ = imported(path, "csv", label_column="v1", text_column="v2")
    assert labels(found) == {"a.csv:2": False, "a.csv:3": True}


def test_csv_reads_utf_16_nul_bytes_and_fields_longer_than_the_module_likes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("label,text\nspam,größer\n", "utf-16")
    assert imported(path, "csv")[0][0].raw == "größer".encode()
    path.write_bytes(b"label,text\nspam,a\0b\nham," + b"x" * 200_000 + b"\n")
    found, report = imported(path, "csv")
    assert [len(e.raw) for e in found] == [3, 200_000] and not report.bad


def test_whole_mails_in_a_table_are_mails(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"body": text, "y": 1}) for text in (MAIL.decode(), "call now")))
    found, _ = imported(path, "jsonl", text_column="body", label_column="y")
    assert [e.kind for e in found] == [Kind.MAIL, Kind.TEXT]


def test_an_index_file_given_alone_finds_its_mails(tmp_path: Path) -> None:
    trec = folder(tmp_path / "a", CASES["trec"][0])
    assert labels(imported(trec / "full" / "index", "trec")[0]) == CASES["trec"][2]
    lines = folder(tmp_path / "b", CASES["label-index"][0])
    found, _ = imported(lines / "SPAMTrain.label", "label-index", one_is="spam")
    assert labels(found) == {"TRAINING/T1.eml": True, "TRAINING/T2.eml": False}


def test_the_labelling_folder_may_be_the_root_itself(tmp_path: Path) -> None:
    root = folder(tmp_path, {"spam_2/1": MAIL}) / "spam_2"
    assert labels(imported(root, "spamassassin")[0]) == {"1": True}
    assert labels(imported(root / "1", "spamassassin")[0]) == {"1": True}
