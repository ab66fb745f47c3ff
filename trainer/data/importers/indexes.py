"""Corpora whose labels stand in an index file beside the mails: TREC, CSDMC2010."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from spamfilter.message import Kind
from trainer.data.archive import BROKEN, File, Folder, Member, Tree
from trainer.data.example import Example
from trainer.data.importers.members import by_member
from trainer.data.importers.options import LABEL_WORDS, Options, label_of
from trainer.data.importers.report import Report
from trainer.errors import DataError

Reading = Callable[[str], bool | None]
"""A label word to spam (True), ham (False), unknown (None)."""


def trec(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """TREC public spam corpora: lines `spam ../data/inmail.1`, relative to the index; `full/index` before others."""
    yield from _indexed(tree, options, report, lambda _: label_of, lambda name: posixpath.basename(name) == "index")


def label_index(tree: Tree, options: Options, report: Report) -> Iterator[Example]:
    """Lines `1 TRAIN_00000.eml`. What 1 means must be said: CSDMC2010's SPAMTrain.label has 1 for ham."""

    def reading(index: str) -> Reading:
        def read(word: str) -> bool | None:
            if word not in ("0", "1"):
                return label_of(word) if word.lower() in ("ham", "spam") else None
            if options.one_is is None:
                raise DataError(
                    f"{index}: 1 may stand for ham or for spam: give --one-is ham or --one-is spam "
                    "(in CSDMC2010's SPAMTrain.label 1 is ham)"
                )
            return (word == "1") == (options.one_is == "spam")

        return read

    yield from _indexed(tree, options, report, reading, lambda name: name.lower().endswith((".label", ".labels")))


@dataclass(frozen=True, slots=True)
class _Entry:
    line: int
    spam: bool
    name: str


def _indexed(
    tree: Tree, options: Options, report: Report, reading: Callable[[str], Reading], is_index: Callable[[str], bool]
) -> Iterator[Example]:
    if isinstance(tree, File):
        tree, options = _around(tree, options)
    names, index, raw = _survey(tree, options, is_index)
    entries = list(_entries(tree, index, raw, report, reading(tree.place(index))))
    wanted = _located(tree, index, entries, names, report)

    def read(member: Member) -> Iterator[Example]:
        if (entry := wanted.get(member.path)) is not None:
            yield Example(options.name, member.path, entry.spam, member.read(), Kind.MAIL)
        elif member.path != index:
            report.skip("not in the index")

    yield from by_member(tree, report, read)


def _around(tree: File, options: Options) -> tuple[Tree, Options]:
    """The folder that an index file given alone speaks of: its own, or the one above where its lines say `../`."""
    path = tree.path.resolve()
    above = b" ../" in path.read_bytes()
    root = path.parent.parent if above else path.parent
    return Folder(root), replace(options, index=path.relative_to(root).as_posix())


def _survey(tree: Tree, options: Options, is_index: Callable[[str], bool]) -> tuple[list[str], str, bytes]:
    """All names, the index's name and bytes. Raises DataError when there is no index, or more than one."""
    names: list[str] = []
    indexes: dict[str, bytes] = {}
    with suppress(*BROKEN):  # the second reading reports it
        for member in tree.members():
            names.append(member.path)
            if member.path == options.index or (options.index is None and is_index(member.path)):
                indexes[member.path] = member.read()
    if len(indexes) > 1:
        full = {name: raw for name, raw in indexes.items() if name.endswith("full/index")}
        indexes = full if len(full) == 1 else indexes
    if len(indexes) == 1:
        return names, *next(iter(indexes.items()))
    if options.index is not None:
        raise DataError(f"{tree.path}: no {options.index} in it; --index is a path within it")
    if indexes:
        raise DataError(f"{tree.path}: several indexes ({', '.join(sorted(indexes))}); choose one with --index")
    raise DataError(f"{tree.path}: no index file in it; name it with --index")


def _entries(tree: Tree, index: str, raw: bytes, report: Report, read: Reading) -> Iterator[_Entry]:
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        place = tree.place(f"{index}:{number}")
        if not line.strip():
            continue
        try:
            word, _, name = line.decode("utf-8").strip().partition(" ")
        except UnicodeDecodeError as error:
            report.refuse(place, "not UTF-8", f"byte {error.start + 1} of the line")
            continue
        if not name.strip():
            report.refuse(place, "no file name", "a line is a label, a blank and a file's name")
        elif (spam := read(word)) is None:
            report.refuse(place, "wrong label", f"{word[:40]!r} is none of {LABEL_WORDS}")
        else:
            yield _Entry(number, spam, name.strip())


def _located(tree: Tree, index: str, entries: list[_Entry], names: list[str], report: Report) -> dict[str, _Entry]:
    """Entries by path in the tree: as the index says, else the only file of that name (CSDMC2010 omits folders)."""
    known = set(names)
    by_name = defaultdict[str, list[str]](list)
    for name in names:
        by_name[posixpath.basename(name)].append(name)
    found: dict[str, _Entry] = {}
    for entry in entries:
        place = tree.place(f"{index}:{entry.line}")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(index), entry.name))
        if path not in known:
            candidates = by_name.get(posixpath.basename(entry.name), [])
            if len(candidates) != 1:
                detail = f"{len(candidates)} files have that name" if candidates else "named by the index, not there"
                report.refuse(place, "missing file", f"{entry.name}: {detail}")
                continue
            path = candidates[0]
        if path in found:
            report.refuse(place, "listed twice", f"{entry.name}, first on line {found[path].line}")
        else:
            found[path] = entry
    return found
