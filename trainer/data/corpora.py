"""Reads the public corpora in place, archives included, as labelled raw messages.

Official sources and licences: SMS Spam Collection v.1 (UCI 228, CC BY 4.0); SpamAssassin public corpus (CC0/PDDL);
Enron-spam (Metsis, Androutsopoulos, Paliouras 2006, free for research and use); CSDMC2010 (ICONIP 2010 competition);
a public technical list's archive as modern ham. The fixed test part of SpamAssassin is marked, never trained on.
"""

from __future__ import annotations

import csv
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spamfilter.message import Kind
from trainer.errors import DataError

ENVIRONMENT = "SPAMFILTER_DATA_DIR"


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled message: `spam` is None where nobody labelled it."""

    source: str
    path: str
    spam: bool
    raw: bytes
    kind: Kind


def data_dir(given: Path | None = None) -> Path:
    """The corpora's folder: as given, from the environment, or `../shared/data` beside the checkout."""
    candidates = [given, Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None]
    candidates.append(Path(__file__).resolve().parents[3] / "shared" / "data")
    for candidate in candidates:
        if candidate is not None and candidate.is_dir():
            return candidate
    raise DataError(f"no folder with corpora: give --data-dir, or set {ENVIRONMENT}")


def sms(folder: Path) -> Iterator[Example]:
    """SMS Spam Collection: label TAB text, no header, no quoting."""
    table = pd.read_csv(
        _file(folder, "sms-spam-collection.tsv"), sep="\t", names=["label", "text"], quoting=csv.QUOTE_NONE,
        encoding="utf-8", dtype=str, keep_default_na=False,
    )  # fmt: skip
    for number, (label, text) in enumerate(zip(table["label"], table["text"], strict=True), 1):
        yield Example("sms", f"sms-spam-collection.tsv:{number}", label == "spam", text.encode(), Kind.TEXT)


def spamassassin(folder: Path) -> Iterator[Example]:
    """SpamAssassin public corpus: the label is in the folder's name."""
    yield from _tar(folder, "spamassassin", lambda path: "/spam" in path)


def csdmc(folder: Path) -> Iterator[Example]:
    """CSDMC2010: raw mail with full headers."""
    yield from _tar(folder, "csdmc2010", lambda path: "/spam/" in path)


def ham_lists(folder: Path) -> Iterator[Example]:
    """A technical mailing list of 2019-2026, taken as ham."""
    yield from _tar(folder, "ham-lists", lambda path: False)


def enron(folder: Path) -> Iterator[Example]:
    """Enron-spam 1-6: a `Subject:` line, then at once the body; a blank line is put between them."""
    for example in _tar(folder, "enron-spam", lambda path: "/spam/" in path):
        first, _, rest = example.raw.partition(b"\n")
        raw = first.rstrip(b"\r") + b"\n\n" + rest
        yield Example("enron", example.path, example.spam, raw, Kind.MAIL)


LABELLED: dict[str, Callable[[Path], Iterator[Example]]] = {
    "sms": sms,
    "spamassassin": spamassassin,
    "csdmc2010": csdmc,
    "enron": enron,
    "ham-lists": ham_lists,
}


def spamassassin_test(folder: Path) -> frozenset[str]:
    """Paths of the fixed SpamAssassin test part: 1,209 mails that no training may read."""
    lines = _file(folder, "splits/spamassassin-test.tsv").read_text("utf-8").splitlines()
    return frozenset(line.split("\t")[1] for line in lines if line.strip())


def plain_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Unlabelled English for pretraining, as (source, article)."""
    blogs = lzma.decompress(_file(folder, "us-gov-blogs.txt.xz").read_bytes()).decode("utf-8")
    for article in blogs.split("<|endoftext|>"):
        if article.strip():
            yield "us-gov-blogs", article.strip()
    for part in ("valid", "test"):
        with lzma.open(_file(folder, f"wikitext-2/{part}.txt.xz"), "rt", encoding="utf-8") as file:
            article: list[str] = []
            for line in file:
                if line.startswith(" = ") and not line.startswith(" = = ") and article:
                    yield "wikitext-2", "".join(article)
                    article = []
                article.append(line)
            yield "wikitext-2", "".join(article)


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; the corpora's README names where it comes from")
    return path


def _tar(folder: Path, name: str, is_spam: Callable[[str], bool]) -> Iterator[Example]:
    with tarfile.open(_file(folder, f"{name}.tar.xz"), "r:xz") as archive:
        for member in archive:
            if member.isfile() and (stream := archive.extractfile(member)) is not None:
                path = member.name.removeprefix("./")
                yield Example(name, path, is_spam(path), stream.read(), Kind.MAIL)
