"""How values look: nothing a stranger wrote hides, moves or runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from spamfilter.console.shown import percent, shown, size, when


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("<script>&\"'", "&lt;script&gt;&amp;&#34;&#39;"),
        ("您好", "您好"),
        ("a\nb\tc\r\nd", "a\nb\tc\r\nd"),
        ("", ""),
        (None, ""),
        ("👨‍👩‍👧", "👨‍👩‍👧"),
    ],
)
def test_harmless_text_stays_text(text: str | None, html: str) -> None:
    assert shown(text) == html


@pytest.mark.parametrize(
    ("sign", "code"),
    [
        ("\u202e", "U+202E"),
        ("\u200b", "U+200B"),
        ("\u2066", "U+2066"),
        ("\x1b", "U+001B"),
        ("\0", "U+0000"),
        ("\ud800", "U+D800"),
        ("\ufeff", "U+FEFF"),
        ("\u00ad", "U+00AD"),
        ("\r", "U+000D"),
        ("\u2028", "U+2028"),
    ],
)
def test_a_sign_that_hides_is_seen(sign: str, code: str) -> None:
    html = shown(f"a{sign}b")
    assert code in html and sign not in html
    assert html.startswith("a<span") and html.endswith("</span>b")


def test_a_joiner_within_a_latin_word_is_seen() -> None:
    assert "U+200D" in shown("pass\u200dword")


def test_long_text_is_cut() -> None:
    assert shown("x" * 20, 10) == "x" * 10 + "…"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (0.5, "50.0 %"), (1.0, "100.0 %"), (0.99999, "> 99.9 %"), (0.00001, "< 0.1 %"), (None, "–")],
)
def test_a_share_never_claims_a_certainty_it_has_not(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (250_000, "250 kB"), (2 * 10**13, "20.0 TB")],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert size(count) == text


def test_a_moment_is_given_in_utc_for_the_script_to_turn() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert when(moment) == '<time datetime="2026-01-02T01:04:05+00:00">2026-01-02 01:04:05 UTC</time>'
    assert when(moment.astimezone(UTC)) == when(moment)
    assert when(None) == "–"
