"""What stands before every page: names, origins, roles, secrets, and what answers tell the browser."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from starlette.routing import Mount, Route

from spamfilter.console.app import ROUTES, application, every_route
from spamfilter.console.page import anybody
from spamfilter.console.security.gate import LARGE_AT_ONCE, LARGE_BYTES
from spamfilter.console.security.roles import Role
from spamfilter.message import Message
from spamfilter.verdict import Failure, Score
from tests.console.conftest import Serve
from tests.console.serving import Served, Settings

OPEN = {"/enter", "/login", "/v1/health", "/openapi.json"}
"""For these alone nobody has to be signed in."""
BELOW = {Role.OPERATOR: Role.VIEWER, Role.ADMIN: Role.OPERATOR}


def calls(role: Role | None = None) -> Iterator[tuple[str, str]]:
    """Method and path of every route, or of those that need the role."""
    for route in every_route(ROUTES):
        if role is None or route.endpoint.opened_to is role:
            path = route.path_format.format(**dict.fromkeys(route.param_convertors, "x"))
            for method in (route.methods or set()) - {"HEAD"}:
                yield method, path


def test_every_route_says_who_may_call_it_and_only_the_way_in_is_open() -> None:
    assert {route.path for route in every_route(ROUTES) if route.endpoint.opened_to is None} == OPEN
    assert [route.path for route in ROUTES if isinstance(route, Mount)] == ["/static"]


async def test_a_route_that_does_not_say_so_is_not_served(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgotten(request: object) -> None: ...

    monkeypatch.setattr("spamfilter.console.app.ROUTES", (*ROUTES, Route("/forgotten", forgotten)))
    with pytest.raises(LookupError, match="/forgotten"):
        application(served.services)
    anybody(forgotten)  # type: ignore[arg-type]
    application(served.services)


async def test_a_stranger_gets_nowhere(serve: Serve) -> None:
    served = await serve(Settings(hosts=["filter.example"]))
    client = await served.client()
    for method, path in calls():
        if path not in OPEN:
            answer = await client.request(method, path)
            assert answer.status_code in (303, 401), (method, path)
            assert answer.status_code == 401 or answer.headers["location"].startswith("/login"), (method, path)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN])
async def test_a_lower_role_gets_nowhere(served: Served, role: Role) -> None:
    client = await served.client(BELOW[role])
    for method, path in calls(role):
        answer = await client.request(method, path, headers={"X-CSRF-Token": client.csrf})
        assert answer.status_code == 403, (method, path)
        assert f"the role {role}" in answer.text


async def test_what_changes_something_needs_the_sessions_secret(served: Served) -> None:
    client = await served.client("admin")
    for method, path in calls():
        if method != "GET" and path not in OPEN:
            assert (await client.request(method, path)).status_code == 403, (method, path)
            wrong = await client.request(method, path, headers={"X-CSRF-Token": "guess"})
            assert wrong.status_code == 403, (method, path)


async def test_a_form_brings_the_secret_in_a_field(served: Served) -> None:
    client = await served.client("viewer")
    assert (await client.post("/logout", data={"csrf": "guess"})).status_code == 403
    assert (await client.post_form("/logout")).status_code == 303
    assert (await client.get("/keys")).status_code == 303


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:11380", "127.0.0.1.evil.example", "", "[::1"])
async def test_on_loopback_a_foreign_name_is_not_answered(served: Served, host: str) -> None:
    client = await served.client("admin")
    for path in ("/try", "/login", "/static/console.css", "/v1/health"):
        answer = await client.get(path, headers={"Host": host})
        assert answer.status_code in (400, 403), path
        assert "spamfilter_session" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST"])
async def test_on_loopback_this_machines_names_are(served: Served, host: str) -> None:
    assert (await (await served.client("viewer")).get("/keys", headers={"Host": host})).status_code == 200


async def test_a_configured_name_is_answered(serve: Serve) -> None:
    served = await serve(Settings(hosts=["Filter.example"]))
    client = await served.client("viewer")
    assert (await client.get("/keys", headers={"Host": "filter.example"})).status_code == 200
    assert (await client.get("/keys", headers={"Host": "other.example"})).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
async def test_another_sites_page_cannot_post(served: Served, headers: dict[str, str]) -> None:
    client = await served.client("admin")
    answer = await client.post("/v1/scan", content=b"hi", headers={"Content-Type": "text/plain", **headers})
    assert answer.status_code == 403
    assert served.engine.seen == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("charset", ["unicode_escape", "idna", "utf-7"])
async def test_a_form_in_an_encoding_that_no_browser_sends_is_refused(served: Served, charset: str) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="nonce"\r\n\r\n\\ud800\r\n--x--\r\n'
    client = await served.client()
    await client.get("/login")
    headers = {"Content-Type": f'multipart/form-data; boundary=x; charset="{charset}"'}
    assert (await client.post("/login", content=part, headers=headers)).status_code == 415


async def test_only_some_large_bodies_are_read_at_a_time(served: Served) -> None:
    client = await served.client()
    large = b"x" * (LARGE_BYTES + 1)
    plain = {"Content-Type": "text/plain"}
    begun, held = asyncio.Semaphore(0), asyncio.Event()
    score = served.engine.score

    async def slow(message: Message) -> Score | Failure:
        if len(message.raw) > LARGE_BYTES:
            begun.release()
            await held.wait()
        return await score(message)

    served.engine.score = slow  # type: ignore[method-assign]
    slow_ones = [
        asyncio.create_task(client.post("/v1/scan", content=large, headers=plain)) for _ in range(LARGE_AT_ONCE)
    ]
    try:
        for _ in slow_ones:
            await begun.acquire()
        answer = await client.post("/v1/scan", content=large, headers=plain)
        assert answer.status_code == 503 and "Retry-After" in answer.headers
        assert (await client.post("/v1/scan", content=b"small", headers=plain)).status_code == 200
    finally:
        held.set()
    assert {(await one).status_code for one in slow_ones} == {200}
    assert (await client.post("/v1/scan", content=large, headers=plain)).status_code == 200


@pytest.mark.parametrize("path", ["/login", "/keys", "/nothing", "/static/console.css", "/static/none", "/v1/scan"])
async def test_every_answer_says_what_the_browser_has_to_forbid(served: Served, path: str) -> None:
    answer = await (await served.client("viewer")).get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "strict-transport-security" not in answer.headers
    assert "server" not in answer.headers


async def test_pages_hold_no_inline_scripts_or_styles(served: Served) -> None:
    client = await served.client("admin")
    for method, path in calls():
        if method == "GET" and "/live" not in path and "/events" not in path and path != "/decisions.csv":
            text = (await client.get(path)).text
            assert "<script>" not in text and " style=" not in text and "<style" not in text, path
            assert " onclick=" not in text and "javascript:" not in text, path
