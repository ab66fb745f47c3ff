"""Corpora that are trees with a mail a file: SpamAssassin, Enron-spam, a Maildir, any folder of one label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from spamfilter.message import Kind
from trainer.data.archive import File, Member, Tree
from trainer.data.example import Example
from trainer.data.importers.members import by_member
from trainer.data.importers.options import Options, given_label
from trainer.data.importers.report import Report

_NOT_MAIL = frozenset({"cmds", "summary.txt", "readme", "readme.txt", "index"})
_BETWEEN_WORDS = re.compile(r"[^a-z]+")


def spamassassin(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """The label is a word of the innermost folder's name that has one: `easy_ham`, `spam-2`, `20030228_hard_ham`."""

    def read(member: Member) -> Iterator[Example]:
        path = PurePosixPath(member.path)
        if path.name.lower() in _NOT_MAIL:
            report.skip(f"{path.name}, not a mail")
            return
        folders = [*path.parts[-2::-1], _root(tree)]
        spam = next((label for folder in folders if (label := _said_by(folder)) is not None), None)
        if spam is None:
            report.refuse(tree.place(member.path), "no label", "no folder above it is named for ham or spam")
            return
        yield Example(options.name, member.path, spam, member.read(), Kind.MAIL)

    yield from by_member(tree, report, read)


def enron(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """Enron-spam: a `Subject:` line, then at once the body; a blank line goes between, or the body reads as headers."""

    def read(member: Member) -> Iterator[Example]:
        path = PurePosixPath(member.path)
        if path.name.lower() in _NOT_MAIL:
            report.skip(f"{path.name}, not a mail")
            return
        folder = path.parent.name or _root(tree)
        if folder.lower() not in ("ham", "spam"):
            report.refuse(tree.place(member.path), "no label", f"its folder is {folder!r}, neither 'ham' nor 'spam'")
            return
        raw = member.read()
        first, _, rest = raw.partition(b"\n")
        if not raw.strip():
            report.refuse(tree.place(member.path), "empty text")
        elif first[:8].lower() != b"subject:":
            report.refuse(tree.place(member.path), "no subject", "the first line does not begin with 'Subject:'")
        else:
            whole = first.rstrip(b"\r") + b"\n\n" + rest
            yield Example(options.name, member.path, folder.lower() == "spam", whole, Kind.MAIL)

    yield from by_member(tree, report, read)


def eml(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """Every file is one mail; the label is given."""
    spam = given_label(options, "eml")

    def read(member: Member) -> Iterator[Example]:
        yield Example(options.name, member.path, spam, member.read(), Kind.MAIL)

    yield from by_member(tree, report, read)


def maildir(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """Files in `cur` and `new`, of subfolders too (Maildir++); the label is given."""
    spam = given_label(options, "maildir")

    def read(member: Member) -> Iterator[Example]:
        if PurePosixPath(member.path).parent.name not in ("cur", "new"):
            report.skip("not in cur or new")
            return
        yield Example(options.name, member.path, spam, member.read(), Kind.MAIL)

    yield from by_member(tree, report, read)


def _root(tree: Tree) -> str:
    path = tree.path.resolve()
    return path.parent.name if isinstance(tree, File) else path.name


def _said_by(folder: str) -> bool | None:
    words = set(_BETWEEN_WORDS.split(folder.lower())) & {"ham", "spam"}
    return "spam" in words if len(words) == 1 else None
