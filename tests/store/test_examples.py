"""A document as bytes and as data: any comes back the same, and what is none is said."""

from __future__ import annotations

import pytest

from spamfilter.classifier.examined import document_as_json, document_from_json
from spamfilter.document import extract
from spamfilter.store.examples import (
    pack_document,
    unpack_document,
)


def test_a_document_with_anything_in_it_comes_back_the_same() -> None:
    raw = b"From: \xff\xfe <a@b>\nSubject: \x00\xc3\x28\n\n\x00 http://example.com/x \xed\xa0\x80 \xf0\x9f\x98\x80"
    document = extract(raw)
    assert unpack_document(pack_document(document)) == document
    lone = document_from_json({**document_as_json(document), "text": "\udc80\ud800 \0"})
    assert unpack_document(pack_document(lone)) == lone


@pytest.mark.parametrize(
    "plain",
    [None, [], "x", {}, {"kind": "fax"}, {"kind": "mail", "text": 3}, {"kind": "mail", "links": "abc"},
     {"kind": "mail", "links": [1]}, {"kind": "mail", "facts": {"a": 1}}, {"kind": "mail", "facts": []}],
)  # fmt: skip
def test_data_that_is_no_document(plain: object) -> None:
    with pytest.raises(ValueError):
        document_from_json(plain)


def test_packed_bytes_that_are_no_document() -> None:
    import zlib

    for packed in (b"", b"x", zlib.compress(b"[]"), zlib.compress(b"{"), zlib.compress(b" " * 10_000_000)):
        with pytest.raises(ValueError):
            unpack_document(packed)
