"""An address of the list is read, checked, and written again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import pytest

from spamfilter.console.decision_query import FIELDS, Query
from spamfilter.store.history import Filter

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


def again(address: str) -> Query:
    return Query.read(dict(parse_qsl(urlsplit(address).query)))


def test_nothing_asked_is_everything() -> None:
    query = Query.read({"q": "  ", "other": "x"})
    assert query.filter() == Filter()
    assert (query.address(), query.newer, query.detailed) == ("/decisions", "", False)


def test_every_field_survives_its_address() -> None:
    values = {"q": "a&b=c", "period": "7d", "since": "2026-01-31T12:00", "until": "2026-02-01", "channel": "smtp"}
    values |= {"verdict": "unscanned", "disposition": "next hop lost", "sender": "é", "recipient": "x y", "model": "m"}
    assert set(values) == set(FIELDS)
    query = Query.read(values)
    assert again(query.address()) == query
    assert query.detailed


def test_the_later_of_two_beginnings_counts() -> None:
    early = Query.read({"period": "24h", "since": "2020-01-01T00:00"})
    assert early.filter(NOW).since == NOW - timedelta(days=1)
    late = Query.read({"period": "30d", "since": "2026-03-19T00:00"})
    assert late.filter(NOW).since == datetime(2026, 3, 19, tzinfo=UTC)


def test_the_trail_leads_back_page_by_page() -> None:
    pages = [Query.read({"verdict": "ham"})]
    for cursor in ("3.c", "2.b", "1.a"):
        pages.append(again(pages[-1].older(cursor)))
    for earlier, later in pairwise(pages):
        assert again(later.newer) == earlier


def test_a_long_trail_is_cut_and_still_leads_back() -> None:
    query = Query.read({})
    for number in range(100):
        query = again(query.older(f"{number}.x"))
    assert len(query.trail) == 40
    while query.newer:
        query = again(query.newer)
    assert query.before == ""


@pytest.mark.parametrize("asked", [{"before": "a b"}, {"trail": "x~<y>"}, {"before": "x" * 101}, {"until": "soon"}])
def test_what_is_no_place_or_time_is_refused(asked: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"no (place|time)"):
        Query.read(asked)
