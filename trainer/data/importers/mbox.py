"""An mbox: mails one behind the other, each begun by a `From ` line (RFC 4155; quoting as in mboxrd)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spamfilter.message import Kind
from trainer.data.archive import Member, Tree
from trainer.data.example import Example
from trainer.data.importers.members import by_member
from trainer.data.importers.options import Options, given_label
from trainer.data.importers.report import Report

_SEPARATOR = re.compile(rb"From \S.*\d\d:\d\d")  # with a time, or "From me to you" would part a mail
_QUOTED = re.compile(rb">+From ")


def mbox(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """Every mail of every file; the label is given. A mail's path carries the line of its `From `."""
    spam = given_label(options, "mbox")

    def read(member: Member) -> Iterator[Example]:
        for line, raw in _mails(member):
            if line:
                yield Example(options.name, f"{member.path}:{line}", spam, raw, Kind.MAIL)
            elif raw.strip():
                report.refuse(tree.place(f"{member.path}:1"), "not an mbox", "text before the first 'From ' line")

    yield from by_member(tree, report, read)


def _mails(member: Member) -> Iterator[tuple[int, bytes]]:
    """(line of its `From `, mail); what stands before the first one has line 0."""
    began, lines = 0, list[bytes]()
    blank = True
    with member.open() as stream:
        for number, line in enumerate(stream, 1):
            if blank and (_SEPARATOR.match(line) or (number == 1 and line.startswith(b"From "))):
                if began or lines:
                    yield began, _without_separator(lines)
                began, lines = number, []
            else:
                lines.append(line[1:] if _QUOTED.match(line) else line)
            blank = not line.strip(b"\r\n")
    if began or lines:
        yield began, _without_separator(lines)


def _without_separator(lines: list[bytes]) -> bytes:
    if lines and not lines[-1].strip(b"\r\n"):
        lines = lines[:-1]
    return b"".join(lines)
