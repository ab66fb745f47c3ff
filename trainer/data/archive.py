"""One view of a folder, a file and a tar archive, so that every format is read without unpacking."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from trainer.errors import DataError

BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error, tarfile.TarError)
"""What reading a truncated, damaged or forbidden file raises."""

_TAR_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tbz")
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a tree. `path` is relative to it, with slashes; `open` gives its bytes, decompressed (gz, xz, bz2).

    Of an archive, valid until the next member is asked for.
    """

    path: str
    open: Callable[[], AbstractContextManager[BinaryIO]]

    def read(self) -> bytes:
        """All bytes. Raises one of BROKEN."""
        with self.open() as stream:
            return stream.read()


class Tree(Protocol):
    """A folder, a file or an archive. `members` can be called again; it raises one of BROKEN where reading ends."""

    @property
    def path(self) -> Path:
        """The folder, file or archive."""

    def members(self) -> Iterator[Member]:
        """Files in a fixed order: sorted in a folder, as they stand in an archive."""

    def place(self, path: str) -> str:
        """Where a member is, for people."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with all that is below it."""

    path: Path

    def members(self) -> Iterator[Member]:
        """Files by path; symbolic links to folders are not followed."""
        for folder, folders, files in os.walk(self.path):
            folders.sort()
            for name in sorted(files):
                file = Path(folder, name)
                if file.is_file():
                    yield Member(file.relative_to(self.path).as_posix(), partial(_open_file, file))

    def place(self, path: str) -> str:
        """`folder/path`."""
        return f"{self.path}/{path}"


@dataclass(frozen=True, slots=True)
class File:
    """A tree of one file."""

    path: Path

    def members(self) -> Iterator[Member]:
        """The file."""
        yield Member(self.path.name, partial(_open_file, self.path))

    def place(self, path: str) -> str:
        """The file's path, with the line that `path` may carry behind its name."""
        return str(self.path.parent / path)


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar archive, plain or compressed, read from front to end."""

    path: Path

    def members(self) -> Iterator[Member]:
        """Regular files as they stand. Raises EOFError where the end mark is missing: tarfile would end in silence."""
        with tarfile.open(self.path, "r:*") as archive:
            for info in archive:
                if info.isfile():
                    yield Member(info.name.removeprefix("./"), partial(_open_member, archive, info))
            stream = cast(BinaryIO, archive.fileobj)
            stream.seek(archive.offset)
            if stream.read(_BLOCK) != bytes(_BLOCK):
                raise EOFError("it ends without an end mark")

    def place(self, path: str) -> str:
        """`archive!path`."""
        return f"{self.path}!{path}"


def open_tree(path: Path) -> Tree:
    """The tree at `path`. Raises DataError when there is none, or when an archive does not even begin as one."""
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    try:
        if tarfile.is_tarfile(path):
            return Tar(path)
    except BROKEN:
        pass  # so damaged that its kind cannot be told: the name decides
    if path.name.lower().endswith(_TAR_NAMES):
        raise DataError(f"{path}: not a tar archive, or damaged from its beginning; fetch it again")
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise DataError(f"{path}: zip archives are not read; unpack it, or pack it as .tar.gz")
    return File(path)


@contextmanager
def _open_file(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as stream, _plain(stream) as plain:
        yield plain


@contextmanager
def _open_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[BinaryIO]:
    stream = archive.extractfile(info)
    assert stream is not None, "only regular files become members"
    with stream, _plain(cast(io.BufferedReader, stream)) as plain:
        yield plain


@contextmanager
def _plain(stream: io.BufferedReader) -> Iterator[BinaryIO]:
    start = stream.peek(10)[:10]
    if start[:3] == b"\x1f\x8b\x08":
        with gzip.GzipFile(fileobj=stream) as plain:
            yield cast(BinaryIO, plain)
    elif start[:6] == b"\xfd7zXZ\x00":
        with lzma.LZMAFile(stream) as plain:
            yield cast(BinaryIO, plain)
    elif start[:3] == b"BZh" and start[4:10] == b"1AY&SY":
        with bz2.BZ2File(stream) as plain:
            yield cast(BinaryIO, plain)
    else:
        yield stream
