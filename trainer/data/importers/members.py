"""Going through a tree's files so that one that cannot be read is reported and does not end the import."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trainer.data.archive import BROKEN, Member, Tar, Tree
from trainer.data.example import Example
from trainer.data.importers.report import Report

DAMAGED = "truncated or damaged"
UNREADABLE = "cannot be read"


def by_member(tree: Tree, report: Report, read: Callable[[Member], Iterator[Example]]) -> Iterator[Example]:
    """The examples of each member in turn; hidden files are skipped, what cannot be read is refused with its place."""
    last = ""
    try:
        for member in tree.members():
            last = member.path
            if last.rpartition("/")[2].startswith("."):
                report.skip("hidden file")
                continue
            try:
                yield from read(member)
            except BROKEN as error:
                report.refuse(tree.place(last), *_why(error))
                if isinstance(tree, Tar):
                    return  # behind the damage nothing of an archive can be told
    except BROKEN as error:
        report.refuse(str(tree.path), _why(error)[0], f"{_why(error)[1]}; the last member read is {last or 'none'}")


def _why(error: BaseException) -> tuple[str, str]:
    if isinstance(error, PermissionError | FileNotFoundError):
        return UNREADABLE, str(error.strerror)
    return DAMAGED, str(error) or type(error).__name__


def numbered_lines(member: Member) -> Iterator[tuple[int, bytes]]:
    """Lines from 1, parted at LF only, without their end; a byte order mark goes. Raises one of BROKEN."""
    with member.open() as stream:
        for number, line in enumerate(stream, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            yield number, line.rstrip(b"\r\n")
