"""Broken rows and files: counted, named with their place and reason, never dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.trainer.data.made import MAIL, folder, imported, tar
from trainer.data.importers import Options, Report, examples
from trainer.data.importers.report import SHOWN
from trainer.errors import DataError

GOOD_CSV = b"label,text\nham,hi\n"
JSON = b'{"text":"x","label":1}\n'
ROWS = {
    "no tab": ("sms-tsv", {"a": b"ham\thi\nspam\n"}, {}, "a:2: no tab: a line is a label, a tab and the text"),
    "label": ("sms-tsv", {"a": b"ham\thi\nmaybe\tx\n"}, {}, "a:2: wrong label: 'maybe' is none of spam, ham, 1, 0"),
    "label that is no UTF-8": ("sms-tsv", {"a": b"ham\thi\n\xff\tx\n"}, {}, "a:2: wrong label: '\ufffd' is none of"),
    "empty sms": ("sms-tsv", {"a": b"ham\thi\nham\t \n"}, {}, "a:2: empty text"),
    "empty mail": ("eml", {"a": MAIL, "b": b" \n"}, {"label": "ham"}, "b: empty text"),
    "no label": ("spamassassin", {"spam/1": MAIL, "x/2": MAIL}, {}, "x/2: no label: no folder above it is named"),
    "enron folder": ("enron", {"ham/1": b"Subject: x\n", "x/2": b"Subject: x\n"}, {}, "no label: its folder is 'x'"),
    "enron subject": ("enron", {"ham/1": b"Subject: x\n", "ham/2": b"hi"}, {}, "ham/2: no subject: the first line"),
    "empty enron": ("enron", {"ham/1": b"Subject: x\n", "ham/2": b""}, {}, "ham/2: empty text"),
    "missing file": ("trec", {"index": b"ham a\nspam b\n", "a": MAIL}, {}, "index:2: missing file: b: named by the"),
    "no unique file": (
        "trec", {"i/index": b"ham a\nspam b\n", "i/a": MAIL, "x/b": MAIL, "y/b": MAIL}, {}, "2 files have that name"
    ),
    "listed twice": ("trec", {"index": b"ham a\nspam a\n", "a": MAIL}, {}, "index:2: listed twice: a, first on line 1"),
    "index label": ("trec", {"index": b"ham a\neggs a\n", "a": MAIL}, {}, "index:2: wrong label: 'eggs' is none of"),
    "index encoding": ("trec", {"index": b"ham a\nspam \xff\n", "a": MAIL}, {}, "index:2: not UTF-8: byte 6 of the"),
    "no file name": ("trec", {"index": b"ham a\nspam\n", "a": MAIL}, {}, "index:2: no file name"),
    "label of three": (
        "label-index", {"x.label": b"1 a\n2 a\n", "a": MAIL}, {"one_is": "ham"}, "x.label:2: wrong label: '2'"
    ),
    "csv label": ("csv", {"a.csv": GOOD_CSV + b"eggs,x\n"}, {}, "a.csv:3: wrong label: 'eggs' is none of"),
    "csv empty": ("csv", {"a.csv": GOOD_CSV + b"spam,\n"}, {}, "a.csv:3: empty text"),
    "csv fields": ("csv", {"a.csv": GOOD_CSV + b"spam,a,b\n"}, {}, "a.csv:3: wrong number of fields: 3 where"),
    "csv open quote": (
        "csv", {"a.csv": GOOD_CSV + b'spam,"win\nham,x\n'}, {}, "a.csv:3: broken quoting: a quote that opens here is"
    ),
    "csv bad quote": ("csv", {"a.csv": GOOD_CSV + b'spam,"a"b\n'}, {}, "a.csv:3: broken quoting: ',' expected after"),
    "csv without the column": (
        "csv", {"a.csv": GOOD_CSV, "b.csv": b"label,txt\nham,x\n"}, {},
        "b.csv:1: missing column: no column 'text'; did you mean 'txt'? (columns: label, txt)",
    ),
    "not json": ("jsonl", {"a": JSON + b'{oops\n'}, {}, "a:2: not JSON: Expecting property name"),
    "json list": ("jsonl", {"a": JSON + b'[1]\n'}, {}, "a:2: not JSON: an object is wanted"),
    "json encoding": ("jsonl", {"a": JSON + b'{"text":"\xff"}\n'}, {}, "a:2: not JSON: 'utf-8' codec"),
    "json text": ("jsonl", {"a": JSON + b'{"text":5,"label":1}\n'}, {}, "a:2: no text: 'text' holds int"),
    "json label": ("jsonl", {"a": JSON + b'{"text":"x","label":null}\n'}, {}, "a:2: wrong label: 'None'"),
    "json column": ("jsonl", {"a": JSON + b'{"text":"x","lable":1}\n'}, {}, "did you mean 'lable'?"),
    "not an mbox": ("mbox", {"a": b"From x\n\nhi\n", "b": b"hello\n"}, {"label": "ham"}, "b:1: not an mbox"),
    "binary text": ("text", {"a": b"words", "b": b"\0\1"}, {}, "b: not text: NUL bytes"),
    "empty text file": ("text", {"a": b"words", "b": b"\n"}, {}, "b: empty text"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("archive", [False, True], ids=["folder", "tar"])
def test_a_bad_row_is_counted_with_its_place_and_reason(name: str, archive: bool, tmp_path: Path) -> None:
    format_name, files, options, message = ROWS[name]
    path = tar(tmp_path, files) if archive else folder(tmp_path, files)
    found, report = imported(path, format_name, **options)
    assert len(found) == 1, "the good row is read all the same"
    assert report.bad == 1 == report.bad_by_reason.total()
    assert message in str(report.first_bad[0])
    assert str(report.first_bad[0]).startswith(f"{path}{'!' if archive else '/'}")
    with pytest.raises(DataError) as caught:
        list(examples(path, format_name, Options("made", **options), Report(strict=True)))  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_an_import_in_which_nothing_was_read_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = folder(tmp_path, {"a.csv": b"class,message\nham,x\n"}) / "a.csv"
    with pytest.raises(DataError, match=r"nothing in it was read as csv; .*a\.csv:1: .* did you mean 'message'\?"):
        imported(path, "csv", text_column="mesage", label_column="class")
    with pytest.raises(DataError, match=r"empty: nothing in it was read as eml"):
        (tmp_path / "empty").mkdir()
        imported(tmp_path / "empty", "eml", label="ham")


@pytest.mark.parametrize("format_name", ["mbox", "maildir", "eml"])
def test_formats_without_labels_ask_for_one(format_name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{format_name} does not say what is ham .* give --label"):
        imported(folder(tmp_path, {"a": MAIL}), format_name)


def test_an_index_whose_1_could_mean_either_asks(tmp_path: Path) -> None:
    files = {"x.label": b"1 a\n", "a": MAIL}
    with pytest.raises(DataError, match=r"x\.label: 1 may stand for ham or for spam: give --one-is ham or"):
        imported(folder(tmp_path, files), "label-index")
    words = {"x.label": b"ham a\n", "a": MAIL}
    assert not imported(tar(tmp_path, words), "label-index")[0][0].spam


def test_indexes_that_are_not_there_or_too_many_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no index file in it; name it with --index"):
        imported(folder(tmp_path / "a", {"a": MAIL}), "trec")
    two = folder(tmp_path / "b", {"x/index": b"ham ../a\n", "y/index": b"spam ../a\n", "a": MAIL})
    with pytest.raises(DataError, match=r"several indexes .x/index, y/index.; choose one with --index"):
        imported(two, "trec")
    assert imported(two, "trec", index="y/index")[0][0].spam
    with pytest.raises(DataError, match="no z/index in it; --index is a path within it"):
        imported(two, "trec", index="z/index")


def test_files_that_are_no_messages_are_skipped_and_counted(tmp_path: Path) -> None:
    _, report = imported(folder(tmp_path, {"spam/1": MAIL, "spam/cmds": b"mv", "spam/.x": b""}), "spamassassin")
    assert report.skipped == {"cmds, not a mail": 1, "hidden file": 1}
    assert not report.bad


def test_a_report_reads_as_a_table_and_as_json(tmp_path: Path) -> None:
    lines = b"ham\thi\nspam\twin\n" + b"eggs\tx\n" * (SHOWN + 5)
    _, report = imported(folder(tmp_path, {"a.tsv": lines}), "sms-tsv")
    assert report.rows == 27 and len(report.first_bad) == SHOWN
    console = Console(width=200)
    with console.capture() as capture:
        console.print(report)
    printed = capture.get()
    assert "bad 25: wrong label" in printed and "a.tsv:3: wrong label: 'eggs'" in printed and "and 5 more" in printed
    as_json = report.as_dict()
    assert (as_json["rows"], as_json["spam"], as_json["ham"], as_json["bad"]) == (27, 1, 1, 25)
    assert as_json["first_bad"][0]["reason"] == "wrong label"
