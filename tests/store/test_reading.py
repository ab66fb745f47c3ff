"""What every reader of the store shares: it opens nothing that is not whole, and says what it could not read."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, text

from spamfilter.store.database import StoreError, store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.reading import Reading
from spamfilter.store.schema import decisions


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    store = DecisionStore(store_url("", tmp_path))
    store.open()
    store.close()
    return Reading(store_url("", tmp_path), "the notes")


def test_it_reads_between_open_and_close_and_again(reading: Reading) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match="the notes are closed"):
            reading.rows(select(decisions))
        reading.open()
        assert reading.rows(select(decisions)) == []
        reading.close()
    reading.close()


def test_where_there_is_nothing_it_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no decision log yet"):
        Reading(store_url("", tmp_path), "the notes").open()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_named_without_the_statement(reading: Reading) -> None:
    reading.open()
    with pytest.raises(StoreError, match=r"the notes cannot be read: no such table: nowhere$"):
        reading.rows(text("SELECT 'ann@example.org' FROM nowhere"))
    reading.close()


def test_it_cannot_write(reading: Reading) -> None:
    reading.open()
    with pytest.raises(StoreError, match="readonly"):
        reading.rows(text("DELETE FROM decisions"))
    reading.close()
