"""The sign-in link: one key at a time, each for one time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from spamfilter.console.security.link import SignInLink, written_link


def key(link: SignInLink) -> str:
    return parse_qs(urlsplit(link.url).query)["key"][0]


def test_a_key_opens_once_and_the_next_one_is_written(tmp_path: Path) -> None:
    link = SignInLink(tmp_path / "console")
    assert link.url == "" and not link.redeem("")
    link.begin("http://127.0.0.1:1")
    first = key(link)
    assert not link.redeem(first + "x") and not link.redeem("") and not link.redeem("\ud800")
    assert link.redeem(first)
    assert not link.redeem(first)
    assert key(link) != first
    assert written_link(tmp_path / "console") == link.url


def test_of_many_who_come_at_once_one_gets_in(tmp_path: Path) -> None:
    link = SignInLink(tmp_path)
    link.begin("http://127.0.0.1:1")
    first = key(link)
    start = threading.Barrier(8)

    def come(_: int) -> bool:
        start.wait()
        return link.redeem(first)

    with ThreadPoolExecutor(8) as many:
        assert [*many.map(come, range(8))].count(True) == 1


def test_at_the_end_nobody_comes_in(tmp_path: Path) -> None:
    link = SignInLink(tmp_path)
    link.begin("http://127.0.0.1:1")
    last = key(link)
    link.end()
    link.end()
    assert not link.redeem(last) and not link.redeem("")
    assert written_link(tmp_path) is None
