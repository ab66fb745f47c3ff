"""Sentences by name: an address can choose one, and cannot write one."""

from __future__ import annotations

import pytest

from spamfilter.console.notices import notice


@pytest.mark.parametrize("asked", [{}, {"did": "<b>"}, {"did": "you won, call 555"}])
def test_what_is_no_name_says_nothing(asked: dict[str, str]) -> None:
    assert notice(asked) == ""


@pytest.mark.parametrize(("left", "said"), [("3", "3 are"), ("<b>", "0 are"), ("-1", "0 are"), ("9" * 99, "0 are")])
def test_numbers_are_numbers(left: str, said: str) -> None:
    assert said in notice({"did": "partly", "done": "2", "left": left})
