"""Small corpora made for a test: a mapping of paths to bytes, as a folder or as a tar archive of any compression."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from trainer.data.example import Example
from trainer.data.importers import Options, Report, examples

MAIL = b"From: a@example.org\nSubject: hi\n\nsee you on monday\n"
PACKED = ("folder", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2")


def folder(where: Path, files: Mapping[str, bytes]) -> Path:
    """A folder below `where`."""
    root = where / "corpus"
    for name, raw in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return root


def tar(where: Path, files: Mapping[str, bytes], suffix: str = ".tar.gz") -> Path:
    """An archive below `where`."""
    path = where / f"corpus{suffix}"
    compression = suffix.removeprefix(".tar").removeprefix(".")
    with tarfile.open(path, f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, raw in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def packed(where: Path, files: Mapping[str, bytes], how: str) -> Path:
    """One of PACKED."""
    return folder(where, files) if how == "folder" else tar(where, files, how)


def imported(path: Path, format_name: str, **options: str) -> tuple[list[Example], Report]:
    """Everything that an importer yields, and its report."""
    report = Report()
    return list(examples(path, format_name, Options("made", **options), report)), report  # type: ignore[arg-type]


def labels(found: list[Example]) -> dict[str, bool | None]:
    """Label by path."""
    return {example.path: example.spam for example in found}
