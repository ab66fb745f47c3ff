"""The page about oneself: who is signed in, another password, and the way out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.config import ConfigError
from spamfilter.console.aside import aside
from spamfilter.console.page import audited, form, needs, page, see_other, services, user
from spamfilter.console.pages.sign_in import signed_in
from spamfilter.console.security.accounts import LEAST_CHARACTERS, checked
from spamfilter.console.security.identity import COOKIE, cookie
from spamfilter.console.security.roles import Role


@needs(Role.VIEWER)
async def show(request: Request) -> Response:
    """GET /account"""
    return _page(request)


@needs(Role.VIEWER)
async def change_password(request: Request) -> Response:
    """POST /account/password: another password; other sessions of this account end, this one goes on."""
    given = await form(request)
    security, name = services(request).security, user(request).name
    address = request.state.address
    async with security.hashing:
        wait_s = security.limit.wait_s(address, name)
        if wait_s > 0:
            return _page(request, error=f"Too many wrong passwords. Try again in {wait_s:.0f} seconds.", status=429)
        if await aside(security.accounts.check, name, given.get("old", "")) is None:
            security.limit.failed(address, name)
            return _page(request, error="That is not your present password.", status=422)
    if given.get("new", "") != given.get("again", ""):
        return _page(request, error="The new password differs from its repetition.", status=422)
    try:
        checked(given.get("new", ""))
    except ConfigError as error:
        return _page(request, error=str(error).capitalize() + ".", status=422)
    await audited(request, "account.password", name)
    async with security.hashing:
        await aside(security.accounts.set_password, name, given.get("new", ""))
    security.sessions.close_all(name)
    return signed_in(request, user(request), "/account", account=security.accounts.find(name))


@needs(Role.VIEWER)
async def sign_out(request: Request) -> Response:
    """POST /logout"""
    services(request).security.sessions.close(request.cookies.get(COOKIE, ""))
    response = see_other("/login")
    response.headers.append("set-cookie", cookie(COOKIE, "", secure=request.state.secure, longest_s=None))
    return response


def _page(request: Request, *, error: str = "", status: int = 200) -> Response:
    account = services(request).security.accounts.find(user(request).name)
    return page(request, "account.html", status=status, account=account, error=error, least=LEAST_CHARACTERS)


routes = [
    Route("/account", show),
    Route("/account/password", change_password, methods=["POST"]),
    Route("/logout", sign_out, methods=["POST"]),
]
