"""The audit behind the console: opened late, and again after it was closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from spamfilter.console.book import Book
from spamfilter.store.audit import Audit
from spamfilter.store.database import StoreError, store_url
from spamfilter.store.decisions import DecisionStore


def test_it_may_be_made_before_the_tables_are(tmp_path: Path) -> None:
    url = store_url("", tmp_path)
    book = Book(url)
    with pytest.raises(StoreError):
        book.note("ann", "admin", "model.activate", "m1", None, "192.0.2.1")
    store = DecisionStore(url, retention_days=0)
    store.open()
    book.note("ann", "admin", "model.activate", "m1", None, "192.0.2.1")
    book.close()
    book.note("bob", "viewer", "sign-in", "bob", "link", None)
    book.close()
    with Audit(url) as audit:
        assert [(deed.who, deed.action, deed.address) for deed in audit.page()] == [
            ("bob", "sign-in", None),
            ("ann", "model.activate", "192.0.2.1"),
        ]
    store.close()
