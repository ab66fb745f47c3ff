"""Pages and problems: calm words for people, data for programs, and nothing of a fault's inside."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.config import ConfigError
from spamfilter.console import app
from spamfilter.console.page import audited, needs, see_other
from spamfilter.console.security.roles import Role
from spamfilter.store.database import StoreError
from tests.console.conftest import Serve
from tests.console.serving import Served


@needs(Role.VIEWER)
async def breaks(request: Request) -> Response:
    raise ZeroDivisionError("a secret of the mail")


@needs(Role.VIEWER)
async def lacks(request: Request) -> Response:
    raise StoreError("the decision log cannot be read: disk on fire")


@needs(Role.VIEWER)
async def misled(request: Request) -> Response:
    raise ConfigError("accounts.json: others may read it")


@needs(Role.OPERATOR)
async def marks(request: Request) -> Response:
    await audited(request, "decision.mark", "id-1", "spam")
    return see_other("/keys")


@pytest.fixture
async def served(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Served:
    """With some pages that fail as told."""
    routes = [
        Route("/breaks", breaks),
        Route("/lacks", lacks),
        Route("/misled", misled),
        Route("/marks", marks, methods=["POST"]),
    ]
    monkeypatch.setattr(app, "ROUTES", (*routes, *app.ROUTES))
    return await serve()


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/nothing", 404, "There is nothing under this address"),
        ("/lacks", 503, "disk on fire"),
        ("/misled", 503, "others may read it"),
        ("/marks", 405, "does not take such a request"),
    ],
)
async def test_a_problem_is_a_page_for_people_and_data_for_programs(
    served: Served, path: str, status: int, told: str
) -> None:
    client = await served.client("viewer")
    page = await client.get(path)
    assert page.status_code == status
    assert told in page.text and "<nav" in page.text
    plain = await client.get(path, headers={"Accept": "application/json"})
    assert (plain.status_code, plain.json()["status"]) == (status, status)
    assert told in plain.json()["detail"]


async def test_a_fault_says_nothing_of_its_inside(served: Served) -> None:
    client = await served.client("viewer")
    page = await client.get("/breaks")
    assert page.status_code == 500
    assert "No mail is touched by it" in page.text
    assert "secret" not in page.text and "Traceback" not in page.text and "ZeroDivision" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (await client.get("/keys")).status_code == 200


async def test_a_stranger_learns_nothing_from_a_missing_page(served: Served) -> None:
    page = await (await served.client()).get("/nothing")
    assert page.status_code == 404
    assert "<nav" not in page.text


async def test_the_menu_shows_what_a_role_may_see(served: Served) -> None:
    viewer = (await (await served.client("viewer")).get("/keys")).text
    admin = (await (await served.client("admin")).get("/keys")).text
    assert 'href="/training"' in admin and 'href="/training"' not in viewer
    assert 'href="/try"' in viewer


async def test_what_somebody_does_is_noted(served: Served) -> None:
    client = await served.client("operator")
    assert (await client.post_form("/marks")).headers["location"] == "/keys"
    assert served.audit.notes == [("operator", "operator", "decision.mark", "id-1", "spam", "127.0.0.1")]
