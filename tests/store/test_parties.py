"""One text to search in: each word in its line, whatever strangers call themselves."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from spamfilter.store.parties import (
    ESCAPE,
    MOST_BYTES,
    anyone_like,
    parties_of,
    recipient_like,
    sender_like,
)

PARTIES = parties_of("Ann@A.example", "mx.b.example[192.0.2.1]", ("cy@c.example", "50%_off@c.example"))


def _like(text: str, pattern: str) -> bool:
    with closing(sqlite3.connect(":memory:")) as connection:
        return bool(connection.execute("SELECT ? LIKE ? ESCAPE ?", (text, pattern, ESCAPE)).fetchone()[0])


def test_three_lines_in_lower_case() -> None:
    assert PARTIES == "ann@a.example\nmx.b.example[192.0.2.1]\ncy@c.example 50%_off@c.example"
    assert parties_of("", None, ()) == "<>\n\n"
    assert parties_of(None, None, ()) == "\n\n"


@pytest.mark.parametrize(
    ("word", "sender", "recipient", "anyone"),
    [
        ("ANN@", True, False, True),
        ("cy@c", False, True, True),
        ("192.0.2.1", False, False, True),
        ("example", True, True, True),
        ("50%_", False, True, True),
        ("5%f", False, False, False),
        ("_", False, True, True),
        ("\\", False, False, False),
        ("example\nmx", False, False, False),
        ("", True, True, True),
    ],
)
def test_a_word_is_found_in_its_line_only(word: str, sender: bool, recipient: bool, anyone: bool) -> None:
    found = [_like(PARTIES, like(word)) for like in (sender_like, recipient_like, anyone_like)]
    assert found == [sender, recipient, anyone]


def test_the_null_sender_is_found_by_its_sign() -> None:
    assert _like(parties_of("", "mx", ("a@b",)), sender_like("<>"))
    assert not _like(parties_of(None, "mx", ("<>@b",)), sender_like("<>"))


@pytest.mark.parametrize(
    "sender", ["x" * 1000, "ü" * 1000, "\N{GRINNING FACE}" * 1000, "a\nb\nc" * 300, "\udcff" * 1000]
)
def test_long_and_hostile_names_leave_room_for_the_others(sender: str) -> None:
    parties = parties_of(sender, sender, [sender, *(f"person{number}@example.net" for number in range(100))])
    assert len(parties.encode()) <= MOST_BYTES + 2
    assert parties.count("\n") == 2
    assert all(line for line in parties.split("\n"))
