"""Corpora that are tables: the SMS collection's TSV, CSV and JSON lines with named columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from spamfilter.message import Kind, kind_of
from trainer.data.archive import Member, Tree
from trainer.data.example import Example
from trainer.data.importers.members import by_member, numbered_lines
from trainer.data.importers.options import LABEL_WORDS, Options, label_of, nearest
from trainer.data.importers.report import Report

LONGEST_FIELD = 32 * 1024 * 1024
"""Characters of a CSV field; the csv module's own limit of 128 KiB is shorter than many a mail."""


def sms_tsv(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """`label TAB text` a line; a quote is a character like any other, or two rows of the SMS collection merge."""

    def read(member: Member) -> Iterator[Example]:
        for number, line in numbered_lines(member):
            path = f"{member.path}:{number}"
            if not line.strip():
                continue
            word, tab, text = line.partition(b"\t")
            if not tab:
                report.refuse(tree.place(path), "no tab", "a line is a label, a tab and the text")
            elif (spam := label_of(word.decode("utf-8", "replace"))) is None:
                report.refuse(tree.place(path), "wrong label", _not_a_label(word.decode("utf-8", "replace")))
            else:
                yield Example(options.name, path, spam, text, Kind.TEXT)

    yield from by_member(tree, report, read)


def csv_table(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """CSV with a header line, parted by comma, semicolon or tab (whichever the header has most of), quoted by `"`.

    Bytes that are not UTF-8 pass as they are, so that the extraction guesses their charset as it does in mail.
    """
    csv.field_size_limit(LONGEST_FIELD)
    yield from by_member(tree, report, lambda member: _csv_rows(tree, member, options, report))


def _csv_rows(tree: Tree, member: Member, options: Options, report: Report) -> Iterator[Example]:
    with member.open() as stream, _text_of(stream) as text:
        header = text.readline()
        delimiter = max(",;\t", key=header.count)
        columns = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        if (missing := _missing(options, columns)) is not None:
            report.refuse(tree.place(f"{member.path}:1"), "missing column", missing)
            return
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        while True:
            number = rows.line_num + 2
            path = f"{member.path}:{number}"
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                report.refuse(tree.place(path), "broken quoting", _explained(str(error), rows.line_num + 1))
                continue
            if not fields:
                continue
            if len(fields) != len(columns):
                detail = f"{len(fields)} where the header has {len(columns)}; fields with {delimiter!r} need quotes"
                report.refuse(tree.place(path), "wrong number of fields", detail)
            else:
                yield from _example(tree, path, dict(zip(columns, fields, strict=True)), options, report)


def _text_of(stream: Any) -> io.TextIOWrapper:
    start = stream.peek(2)[:2]
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    return io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline="")


def _explained(error: str, line: int) -> str:
    if "unexpected end of data" in error:
        return f"a quote that opens here is never closed: all down to line {line} is one field"
    return f"{error} (line {line})"


def jsonl(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """A JSON object a line; the text is a string, the label a string, a number or a truth value."""

    def read(member: Member) -> Iterator[Example]:
        for number, line in numbered_lines(member):
            path = f"{member.path}:{number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                report.refuse(tree.place(path), "not JSON", str(error)[:200])
                continue
            if not isinstance(row, dict):
                report.refuse(tree.place(path), "not JSON", f"an object is wanted, this is {type(row).__name__}")
            elif (missing := _missing(options, list(row))) is not None:
                report.refuse(tree.place(path), "missing column", missing)
            else:
                yield from _example(tree, path, row, options, report)

    yield from by_member(tree, report, read)


def _missing(options: Options, columns: list[str]) -> str | None:
    wanted = [options.text_column, options.label_column, *([options.id_column] if options.id_column else [])]
    return next((nearest(name, columns) for name in wanted if name not in columns), None)


def _example(tree: Tree, path: str, row: dict[str, Any], options: Options, report: Report) -> Iterator[Example]:
    text, word = row[options.text_column], str(row[options.label_column])
    if not isinstance(text, str):
        report.refuse(tree.place(path), "no text", f"{options.text_column!r} holds {type(text).__name__}")
    elif (spam := label_of(word)) is None:
        report.refuse(tree.place(path), "wrong label", _not_a_label(word))
    elif not text.strip():
        report.refuse(tree.place(path), "empty text")
    else:
        raw = _bytes(text)
        name = str(row[options.id_column]) if options.id_column else path
        yield Example(options.name, name, spam, raw, kind_of(raw))


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that JSON spelt out
        return text.encode("utf-8", "replace")


def _not_a_label(word: str) -> str:
    return f"{word[:40]!r} is none of {LABEL_WORDS}"
