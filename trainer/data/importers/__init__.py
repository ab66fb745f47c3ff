"""Corpora of other people's formats, read in place as examples: one registry, one contract, one report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainer.data.archive import Tree, open_tree
from trainer.data.example import Example
from trainer.data.importers import indexes, plain, tables, trees
from trainer.data.importers.mbox import mbox
from trainer.data.importers.options import Label, Options
from trainer.data.importers.report import Bad, Report
from trainer.errors import DataError

__all__ = ["FORMATS", "Bad", "Format", "Importer", "Label", "Options", "Report", "examples"]


class Importer(Protocol):
    """Yields what it can read and refuses the rest to the report, with place and reason; it never drops in silence.

    It raises DataError only where nothing at all can be read: no index, an option that must be given.
    """

    def __call__(self, tree: Tree, options: Options, report: Report, /) -> Iterator[Example]: ...


@dataclass(frozen=True, slots=True)
class Format:
    """An importer and one line about what it reads."""

    read: Importer
    summary: str


FORMATS: dict[str, Format] = {
    "sms-tsv": Format(tables.sms_tsv, "lines of label TAB text, no quoting"),
    "spamassassin": Format(trees.spamassassin, "a mail a file, folders whose name has the word ham or spam"),
    "enron": Format(trees.enron, "a mail a file, `Subject:` line and body, folders named ham and spam"),
    "trec": Format(indexes.trec, "an index of lines `spam ../data/inmail.1`"),
    "label-index": Format(indexes.label_index, "an index of lines `1 name`; say with --one-is what 1 means"),
    "csv": Format(tables.csv_table, "a header line and columns for text and label"),
    "jsonl": Format(tables.jsonl, "a JSON object a line with text and label"),
    "mbox": Format(mbox, "mails begun by `From ` lines; give --label"),
    "maildir": Format(trees.maildir, "files in cur and new; give --label"),
    "eml": Format(trees.eml, "a mail a file; give --label"),
    "text": Format(plain.text, "plain text for pretraining, parted by <|endoftext|> or a file each"),
}


def examples(path: Path, format_name: str, options: Options, report: Report) -> Iterator[Example]:
    """The messages at `path`: a folder, a file, or a tar archive with or without compression.

    `report` counts while it reads. Raises DataError when nothing was read, and at the first bad row when strict.
    """
    tree = open_tree(path)
    for example in FORMATS[format_name].read(tree, options, report):
        if not example.raw.strip():
            report.refuse(tree.place(example.path), "empty text")
            continue
        report.take(example)
        yield example
    if not report.taken:
        first = f"; {report.first_bad[0]}" if report.first_bad else ""
        raise DataError(f"{path}: nothing in it was read as {format_name}{first}")
