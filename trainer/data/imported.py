"""Corpora that were imported into a run: `RUN/data/imported/NAME.jsonl`, whole messages, with the report beside them.

Messages are kept as they came, so that a newer extraction can read them again; text where it is UTF-8, else base64.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spamfilter.message import Kind
from trainer.data.example import Example
from trainer.data.importers import Report
from trainer.errors import DataError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")


def folder_of(run: Path) -> Path:
    """Where a run keeps its imported corpora."""
    return run / "data" / "imported"


def check_name(name: str, taken: Iterable[str]) -> str:
    """The name, if it may become a source. Raises DataError."""
    if not _NAME.fullmatch(name):
        raise DataError(f"{name!r} cannot name a corpus: use a-z, 0-9, dot, dash, underscore, at most 60")
    if name in taken:
        raise DataError(f"{name} is a corpus that the project knows already: choose another --name")
    return name


def save(run: Path, name: str, read: Iterable[Example], report: Report, **about: str) -> Path:
    """Keep a corpus under its name, in place of an older one; a failed import leaves the older one. The new file."""
    folder = folder_of(run)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.new"
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for example in read:
                file.write(json.dumps(_as_json(example), ensure_ascii=False) + "\n")
        path = temporary.replace(folder / f"{name}.jsonl")
    finally:
        temporary.unlink(missing_ok=True)
    path.with_suffix(".report.json").write_text(json.dumps({**about, **report.as_dict()}, indent=1), "utf-8")
    return path


def corpora(run: Path) -> dict[str, Path]:
    """Imported corpora by name."""
    return {path.stem: path for path in sorted(folder_of(run).glob("*.jsonl"))}


def reports(run: Path) -> dict[str, dict[str, Any]]:
    """What each import took and refused, by name."""
    found = {}
    for name, path in corpora(run).items():
        report = path.with_suffix(".report.json")
        found[name] = json.loads(report.read_text("utf-8")) if report.exists() else {}
    return found


def sums(run: Path) -> dict[str, str]:
    """sha256 of each imported corpus, by name: a table made of others is stale."""
    found = {}
    for name, path in corpora(run).items():
        with path.open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def read(path: Path) -> Iterator[Example]:
    """The messages of an imported corpus, unlabelled ones too. Raises DataError where the file is broken."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                raw = base64.b64decode(row["base64"]) if "base64" in row else row["text"].encode()
                yield Example(row["source"], row["path"], row["spam"], raw, Kind(row["kind"]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path}:{number}: broken ({error!r}); import the corpus again") from None


def unlabelled(run: Path) -> Iterator[Example]:
    """What was imported without labels: text for pretraining."""
    for path in corpora(run).values():
        yield from (example for example in read(path) if example.spam is None)


def _as_json(example: Example) -> dict[str, Any]:
    row = {"source": example.source, "path": example.path, "spam": example.spam, "kind": str(example.kind)}
    try:
        return {**row, "text": example.raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {**row, "base64": base64.b64encode(example.raw).decode("ascii")}
