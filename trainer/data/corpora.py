"""The public corpora that the project knows: which file, from where, under which licence, with which sum and counts.

They are read in place through the importers. The fixed test part of SpamAssassin is marked, never trained on. The sums
are of the files as the project packs them; an official distribution that is packed otherwise reads by `data import`.
"""

from __future__ import annotations

import hashlib
import lzma
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.data.example import Example
from trainer.data.importers import Label, Options, Report, examples
from trainer.errors import DataError

ENVIRONMENT = "SPAMFILTER_DATA_DIR"


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file below the corpora's folder."""

    file: str
    about: str
    origin: str
    licence: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Corpus(KnownFile):
    """A labelled corpus: its format, the label where the format has none, and how many messages it must yield."""

    format: str
    messages: int
    spam: int
    label: Label | None = None


LABELLED_FILES: dict[str, Corpus] = {
    "sms": Corpus(
        "sms-spam-collection.tsv",
        "SMS Spam Collection v.1 (Almeida, Hidalgo 2011)",
        "https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
        "CC BY 4.0",
        "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
        "sms-tsv",
        *(5574, 747),
    ),
    "spamassassin": Corpus(
        "spamassassin.tar.xz",
        "SpamAssassin public corpus: raw mail, 2002-2003",
        "https://spamassassin.apache.org/old/publiccorpus/",
        "CC0 / PDDL",
        "0c0074f7e890e56ef7ec90b4b29e0330bdd69590dfec40638fac0a19231288f1",
        "spamassassin",
        *(6046, 1896),
    ),
    "csdmc2010": Corpus(
        "csdmc2010.tar.xz",
        "CSDMC2010, training part, without what also stands in the SpamAssassin corpus: raw mail, 2009-2010",
        "ICONIP 2010 data mining competition, CSMINING group",
        "public competition data; texts remain their senders'",
        "fb02a04ae0434659c6adf0a745606e2f048b7f6d4f117bd1abe25b1072401d91",
        "spamassassin",
        *(1993, 762),
    ),
    "enron": Corpus(
        "enron-spam.tar.xz",
        "Enron-spam 1-6 (Metsis, Androutsopoulos, Paliouras 2006): subject and body",
        "http://nlp.cs.aueb.gr/software_and_datasets/Enron-Spam/",
        "free for research and use",
        "cb50f390e7d245f8b66ea5303d89dbbd4d9df6f081de01e9aaf0861f448a8478",
        "enron",
        *(33715, 17170),
    ),
    "ham-lists": Corpus(
        "ham-lists.tar.xz",
        "mails of a technical mailing list, 2019-2026, taken as ham",
        "public archive of the list usrp-users",
        "public archive",
        "30b55d85ce53dea66dfbedec600051921ab0498b264d32221b212fd169488e83",
        "eml",
        *(3000, 0),
        label="ham",
    ),
}
"""By the name that becomes the examples' source."""

OTHER_FILES: tuple[KnownFile, ...] = (
    KnownFile(
        "splits/spamassassin-test.tsv",
        "the fixed fifth of the SpamAssassin corpus that no training reads",
        "this project",
        "as the corpus",
        "82d706eda9e60692e33ba64b675f9cb2b3858036c0cf791b5546c6c1eaf00c87",
    ),
    KnownFile(
        "us-gov-blogs.txt.xz",
        "3,007 articles of two US government blogs, 2010-2025; for pretraining",
        "digital.gov, 18f.gsa.gov",
        "public domain (CC0)",
        "f6ed14895bf73404e1031afcd954c7bcab14159a1a3a7f4e134bd0559e504ad4",
    ),
    KnownFile(
        "wikitext-2/valid.txt.xz",
        "WikiText-2 (Merity et al. 2016), validation part; for pretraining",
        "WikiText-2",
        "CC BY-SA",
        "69ca8b1132d18104a1f4b4569a7fda6f79f422348867f755b4308964ae859153",
    ),
    KnownFile(
        "wikitext-2/test.txt.xz",
        "WikiText-2, test part; for pretraining",
        "WikiText-2",
        "CC BY-SA",
        "07eeba52fffcd71044ced625bc3f6694b0aa4d4cd812481bda7bc48eedd3c533",
    ),
    KnownFile(
        "the-verdict.txt",
        "Edith Wharton, The Verdict (1908)",
        "https://en.wikisource.org/wiki/The_Verdict",
        "public domain",
        "b41e41a68f0398a3154ae69e2e4c0e2694e17fe0d66730536837f1b01935b31f",
    ),
    KnownFile(
        "gpt2-bpe/encoder.json",
        "GPT-2's byte-level BPE",
        "OpenAI GPT-2",
        "MIT",
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    ),
    KnownFile(
        "gpt2-bpe/vocab.bpe",
        "GPT-2's byte-level BPE, merges",
        "OpenAI GPT-2",
        "MIT",
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    ),
)


def data_dir(given: Path | None = None) -> Path:
    """The corpora's folder: as given, from the environment, or `../shared/data` beside the checkout.

    Raises DataError when there is none.
    """
    candidates = [given, Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None]
    candidates.append(Path(__file__).resolve().parents[3] / "shared" / "data")
    for candidate in candidates:
        if candidate is not None and candidate.is_dir():
            return candidate
    raise DataError(f"no folder with corpora: give --data-dir, or set {ENVIRONMENT}")


def read(folder: Path, name: str, report: Report | None = None) -> Iterator[Example]:
    """The messages of a known labelled corpus. Without a report to count them, a bad row raises DataError."""
    corpus = LABELLED_FILES[name]
    options = Options(name, label=corpus.label)
    yield from examples(_file(folder, corpus.file), corpus.format, options, report or Report(strict=True))


def sms(folder: Path) -> Iterator[Example]:
    """SMS Spam Collection: label TAB text, no header, no quoting."""
    return read(folder, "sms")


def spamassassin(folder: Path) -> Iterator[Example]:
    """SpamAssassin public corpus: the label is in the folder's name."""
    return read(folder, "spamassassin")


def csdmc(folder: Path) -> Iterator[Example]:
    """CSDMC2010: raw mail with full headers."""
    return read(folder, "csdmc2010")


def ham_lists(folder: Path) -> Iterator[Example]:
    """A technical mailing list of 2019-2026, taken as ham."""
    return read(folder, "ham-lists")


def enron(folder: Path) -> Iterator[Example]:
    """Enron-spam 1-6: a `Subject:` line, then at once the body; a blank line is put between them."""
    return read(folder, "enron")


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
    blogs = Options("us-gov-blogs")
    for example in examples(_file(folder, "us-gov-blogs.txt.xz"), "text", blogs, Report(strict=True)):
        yield example.source, example.raw.decode("utf-8")
    for part in ("valid", "test"):
        with lzma.open(_file(folder, f"wikitext-2/{part}.txt.xz"), "rt", encoding="utf-8") as file:
            article: list[str] = []
            for line in file:
                if line.startswith(" = ") and not line.startswith(" = = ") and article:
                    yield "wikitext-2", "".join(article)
                    article = []
                article.append(line)
            yield "wikitext-2", "".join(article)


def the_verdict(folder: Path) -> str:
    """Edith Wharton's story: 20,479 characters, the smallest corpus on which a GPT learns to write."""
    return _file(folder, "the-verdict.txt").read_text("utf-8")


State = Literal["good", "missing", "differs"]


def state_of(folder: Path, known: KnownFile) -> State:
    """Whether the file is there and is, byte for byte, the known one."""
    path = folder / known.file
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        return "good" if hashlib.file_digest(file, "sha256").hexdigest() == known.sha256 else "differs"


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; `python -m trainer data list` says where it comes from")
    return path
