"""The benchmark of the console: it asks for every page there is, and the real daemon answers each."""

from __future__ import annotations

from pathlib import Path

import pytest

from spamfilter.console.app import ROUTES, every_route
from spamfilter.store.database import store_url
from spamfilter.store.history import History
from tests.bench import console, million

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
ROWS = 2_000
OTHERS = {
    *("/login", "/enter", "/openapi.json", "/v1/health"),  # before the pages, or beside them
    *("/overview/drift", "/models/compare", "/training/runs/{run}/{step}"),  # another process, a second model, a run
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    million.fill(tmp_path, ROWS)
    return tmp_path


def test_every_page_is_asked_for(log: Path) -> None:
    with History(store_url("", log)) as history:
        paths = [asked.address.partition("?")[0] for asked in console.requests(history, "0" * 21)]
    pages = [route for route in every_route(ROUTES) if "GET" in (route.methods or ()) and route.path not in OTHERS]
    assert [route.path for route in pages if not any(route.path_regex.match(path) for path in paths)] == []


def test_the_daemon_answers_and_searches_are_explained(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "FRESH_S", 0.0)
    monkeypatch.setattr(console, "DAYS_FRESH_S", 0.0)
    monkeypatch.setattr(console, "_EXPORT_S", 0.1)
    found, rate, rows = console.served(log / "scratch", log, times=1)
    assert rows == ROWS + 1
    assert rate > 0
    assert all(0 < one["median_ms"] <= one["max_ms"] and one["kb"] > 0 for one in found)
    assert all("INDEX" in " ".join(one["plan"]) for one in found if one["page"] == "decisions")
    assert len(list(console.table(found))) == 2 + len(found)
