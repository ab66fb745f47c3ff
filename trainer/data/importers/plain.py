"""Plain text for pretraining: nobody labelled it, and it is not a mail."""

from __future__ import annotations

from collections.abc import Iterator

from spamfilter.message import Kind
from trainer.data.archive import Member, Tree
from trainer.data.example import Example
from trainer.data.importers.members import by_member
from trainer.data.importers.options import Options
from trainer.data.importers.report import Report

SEPARATOR = b"<|endoftext|>"
"""Parts the documents of a file. A file without it is one document."""


def text(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """Documents, blanks around them taken off. A document's path carries the line on which its part begins."""

    def read(member: Member) -> Iterator[Example]:
        raw = member.read()
        if b"\0" in raw[:4096]:
            report.refuse(tree.place(member.path), "not text", "NUL bytes in its beginning; text is UTF-8 here")
            return
        if not raw.strip():
            report.refuse(tree.place(member.path), "empty text")
        line = 1
        for part in raw.split(SEPARATOR):
            if document := part.strip():
                yield Example(options.name, f"{member.path}:{line}", None, document, Kind.TEXT)
            line += part.count(b"\n")

    yield from by_member(tree, report, read)
