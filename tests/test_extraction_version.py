"""The extraction's version says what a bundle was trained on: documents must not change while it stays.

A faster extraction may not read a single mail in another way. Where documents ought to change, raise the version
(`VERSION` in `spamfilter/normalise.py` or `spamfilter/facts/__init__.py`, or the first number of `EXTRACTION`), train
and export the bundle again, and write the new version and digests here.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path

import pytest

from spamfilter.document import EXTRACTION, Document, extract, render
from tests.hostile import mails
from trainer.data.corpora import LABELLED

VERSION = "2-2-2"
DIGESTS = {
    "sms": (5, "4d25cea83c9f989d"),
    "spamassassin": (10, "0e52cdb58985b97d"),
    "csdmc2010": (5, "acf8eff427267fc6"),
    "enron": (50, "65ceb74dddf865f2"),
    "ham-lists": (10, "cf8cf7c5911a6319"),
    "hostile": (1, "95f613284bca68eb"),
    "garbage": (1, "830a4ff30be10d27"),
}
"""By what is read: every how many messages of it, and the digest of their documents."""


def line_of(document: Document) -> str:
    """All of a document, and its rendering; facts by name, since their order means nothing."""
    return repr(
        (
            *(document.kind.value, document.text, document.tail, document.sender_name, document.sender_domain),
            *(document.subject, document.links, document.attachments, document.flags),
            *(sorted(document.facts.items()), render(document)),
        )
    )


def digest_of(lines: list[str]) -> str:
    """The first 16 hex digits of SHA-256."""
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def check(name: str, lines: list[str]) -> None:
    assert EXTRACTION == VERSION, "a new version: write it and the digests of its documents into this test"
    assert digest_of(lines) == DIGESTS[name][1], (
        f"documents of {name} differ from those of extraction {VERSION}, which shipped bundles were trained on: "
        "raise the version and export the bundle again, or extract as before"
    )


@pytest.mark.corpus
@pytest.mark.parametrize("name", LABELLED)
def test_documents_of_a_corpus(corpus_dir: Path, name: str) -> None:
    chosen = islice(LABELLED[name](corpus_dir), 0, None, DIGESTS[name][0])
    check(name, [line_of(extract(example.raw, example.kind)) for example in chosen])


def test_documents_of_hostile_mails() -> None:
    check("hostile", [line_of(extract(make())) for make in mails.MAILS.values()])


def test_documents_of_random_bytes() -> None:
    check("garbage", [line_of(extract(mails.garbage(seed, 1200))) for seed in range(300)])


def test_a_changed_document_changes_the_digest() -> None:
    lines = [line_of(extract(raw)) for raw in mails.samples().values()]
    changed = [line_of(extract(raw.replace(b"Subject: ", b"Subject: x"))) for raw in mails.samples().values()]
    assert digest_of(lines) != digest_of(changed)
