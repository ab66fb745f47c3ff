"""The ways in and out: link, password, proxy; and what ends a session."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from spamfilter.console.security.identity import COOKIE
from spamfilter.console.security.login import FREE_TRIES
from spamfilter.console.security.roles import Role
from spamfilter.console.services import HASHED_AT_ONCE
from tests.console.conftest import Serve
from tests.console.serving import Browser, Proxy, Served, Settings

PASSWORD = "correct horse battery"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def with_account(served: Served, name: str = "ann", role: Role = Role.OPERATOR) -> None:
    served.services.security.accounts.add(name, role, PASSWORD, "2026-01-01T00:00:00+00:00")


def disk_is_full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def sign_in(client: Browser, name: str, password: str, then: str = "/") -> httpx.Response:
    """As a browser does: open the form, send it."""
    nonce = re.search(r'name="nonce" value="([^"]+)"', (await client.get("/login")).text)
    assert nonce is not None
    fields = {"nonce": nonce[1], "name": name, "password": password, "next": then}
    return await client.post("/login", data=fields)


def way(served: Served) -> str:
    """Path and query of the sign-in link."""
    parts = urlsplit(served.console.link)
    return f"{parts.path}?{parts.query}"


async def test_the_link_makes_an_admin_once(served: Served) -> None:
    link = way(served)
    client = await served.client()
    answer = await client.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"] and "SameSite=Lax" in answer.headers["set-cookie"]
    assert "admin" in (await client.get("/account")).text
    again = await (await served.client()).get(link)
    assert again.status_code == 403
    assert "spamfilter console link" in again.text
    assert way(served) != link
    assert served.audit.notes == [("local", "admin", "sign-in", "local", "link", "127.0.0.1")]


async def test_whoever_is_in_already_does_not_use_the_link_up(served: Served) -> None:
    link = way(served)
    assert (await (await served.client("viewer")).get(link)).status_code == 303
    assert way(served) == link


@pytest.mark.parametrize("key", ["", "guess", "%00", "%F0%9F%92%A9"])
async def test_a_wrong_key_opens_nothing(served: Served, key: str) -> None:
    client = await served.client()
    assert (await client.get(f"/enter?key={key}")).status_code == 403
    assert COOKIE not in client.cookies


async def test_name_and_password_open_the_page_that_was_wanted(served: Served) -> None:
    with_account(served)
    client = await served.client()
    answer = await sign_in(client, "ann", PASSWORD, "/try?example=sms")
    assert (answer.status_code, answer.headers["location"]) == (303, "/try?example=sms")
    assert "operator" in (await client.get("/account")).text
    assert served.audit.notes[-1][:5] == ("ann", "operator", "sign-in", "ann", "password")


@pytest.mark.parametrize("then", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:1", "/\n/x"])
async def test_no_sign_in_leads_to_another_site(served: Served, then: str) -> None:
    with_account(served)
    assert (await sign_in(await served.client(), "ann", PASSWORD, then)).headers["location"] == "/"


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("bob", PASSWORD), ("", ""), ("ann", "x" * 15_000)])
async def test_what_is_wrong_is_not_said(served: Served, name: str, password: str) -> None:
    with_account(served)
    client = await served.client()
    answer = await sign_in(client, name, password)
    assert answer.status_code == 422
    assert "Name or password are wrong." in answer.text
    assert COOKIE not in client.cookies


async def test_a_form_that_was_not_ours_is_refused(served: Served) -> None:
    with_account(served)
    client = await served.client()
    await client.get("/login")
    fields = {"nonce": "guess", "name": "ann", "password": PASSWORD}
    assert (await client.post("/login", data=fields)).status_code == 403
    assert (await (await served.client()).post("/login", data={**fields, "nonce": ""})).status_code == 403


async def test_a_form_that_is_too_large_is_not_read(served: Served) -> None:
    client = await served.client()
    assert (await client.post("/login", data={"name": "x" * 20_000})).status_code == 413


async def test_guessing_has_to_wait_and_the_right_password_too(served: Served) -> None:
    with_account(served)
    client = await served.client()
    for _ in range(5):
        assert (await sign_in(client, "ann", "wrong")).status_code == 422
    answer = await sign_in(client, "ann", PASSWORD)
    assert answer.status_code == 429
    assert "Try again in" in answer.text


async def test_many_guesses_at_once_are_not_more_than_one_after_another(served: Served) -> None:
    with_account(served)
    client = await served.client()
    nonce = re.search(r'name="nonce" value="([^"]+)"', (await client.get("/login")).text)
    assert nonce is not None
    fields = {"nonce": nonce[1], "name": "ann", "password": "wrong"}
    answers = await asyncio.gather(*(client.post("/login", data=fields) for _ in range(20)))
    checked = [answer.status_code for answer in answers].count(422)
    assert checked <= FREE_TRIES + HASHED_AT_ONCE - 1


async def test_a_link_that_cannot_be_replaced_is_not_used_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    link = way(served)
    with monkeypatch.context() as full:
        full.setattr("spamfilter.console.security.private_file.os.fsync", disk_is_full)
        answer = await (await served.client()).get(link)
    assert answer.status_code == 503
    assert "No space left on device" in answer.text
    assert (await (await served.client()).get(link)).headers["location"] == "/"


async def test_who_is_called_by_markup_stays_text(served: Served) -> None:
    answer = await sign_in(await served.client(), '"><script>alert(1)</script>', "x")
    assert "<script>alert" not in answer.text


async def test_signing_out_ends_the_session_for_good(served: Served) -> None:
    client = await served.client("viewer")
    ident = client.cookies[COOKIE]
    assert (await client.post_form("/logout")).headers["location"] == "/login"
    assert served.services.security.sessions.find(ident) is None


async def test_a_damaged_file_of_accounts_is_told_and_lets_nobody_in(served: Served, tmp_path: Path) -> None:
    with_account(served)
    client = await served.client()
    await sign_in(client, "ann", PASSWORD)
    (tmp_path / "console" / "accounts.json").chmod(0o644)
    answer = await client.get("/keys")
    assert answer.status_code == 503
    assert "chmod 600" in answer.text and "content-security-policy" in answer.headers


async def test_without_the_account_its_session_is_over(served: Served) -> None:
    with_account(served)
    client = await served.client()
    await sign_in(client, "ann", PASSWORD)
    assert (await client.get("/keys")).status_code == 200
    served.services.security.accounts.remove("ann")
    assert (await client.get("/keys")).status_code == 303


async def test_another_password_ends_the_other_sessions(served: Served) -> None:
    with_account(served)
    here, there = await served.client(), await served.client()
    for client in (here, there):
        await sign_in(client, "ann", PASSWORD)
    page = (await here.get("/account")).text
    secret = re.search(r'name="csrf" content="([^"]+)"', page)
    assert secret is not None
    new = {"csrf": secret[1], "new": "another fine password", "again": "another fine password"}
    assert (await here.post("/account/password", data={**new, "old": "wrong"})).status_code == 422
    assert (await here.post("/account/password", data={**new, "old": PASSWORD, "again": "x"})).status_code == 422
    short = {**new, "old": PASSWORD, "new": "short", "again": "short"}
    assert "at least 12" in (await here.post("/account/password", data=short)).text
    assert (await here.post("/account/password", data={**new, "old": PASSWORD})).status_code == 303
    assert (await here.get("/account")).status_code == 200
    assert (await there.get("/account")).status_code == 303
    assert served.services.security.accounts.check("ann", "another fine password") is not None
    assert served.audit.notes[-1].action == "account.password"


async def test_a_trusted_proxy_signs_people_in(serve: Serve) -> None:
    served = await serve(Settings(proxy=Proxy("X-Remote-User", LOOPBACK, Role.OPERATOR)))
    client = await served.client()
    said = {"X-Remote-User": "ann@example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "6.6.6.6, 192.0.2.7"}
    page = await client.get("/account", headers=said)
    assert "ann@example.org" in page.text and "operator" in page.text
    assert "set-cookie" not in page.headers
    assert "strict-transport-security" in page.headers
    other = await client.get("/account", headers={**said, "X-Remote-User": "bob"})
    assert "bob" in other.text and "ann@example.org" not in other.text


@pytest.mark.parametrize("names", [[], [""], ["ann", "root"], ["x" * 65], ["a\tb"]])
async def test_a_proxys_unclear_word_names_nobody(serve: Serve, names: list[str]) -> None:
    served = await serve(Settings(proxy=Proxy("X-Remote-User", LOOPBACK)))
    answer = await (await served.client()).get("/account", headers=[("X-Remote-User", name) for name in names])
    assert answer.status_code == 303


async def test_from_anybody_else_the_same_fields_are_noise(serve: Serve) -> None:
    served = await serve(Settings(proxy=Proxy("X-Remote-User", (ipaddress.ip_network("192.0.2.0/24"),))))
    said = {"X-Remote-User": "ann", "X-Forwarded-Proto": "https"}
    answer = await (await served.client()).get("/account", headers=said)
    assert answer.status_code == 303
    assert "strict-transport-security" not in answer.headers


async def test_a_proxys_user_has_a_secret_for_forms(serve: Serve) -> None:
    served = await serve(Settings(proxy=Proxy("X-Remote-User", LOOPBACK)))
    client = await served.client()
    client.headers["X-Remote-User"] = "ann"
    secret = re.search(r'name="csrf" content="([^"]+)"', (await client.get("/try")).text)
    assert secret is not None
    fields = {"csrf": secret[1], "text": "hello there"}
    assert (await client.post("/try", data=fields)).status_code == 200
    assert (await client.post("/try", data={**fields, "csrf": "x"})).status_code == 403
