"""The ways in: the link of this machine, and name and password."""

from __future__ import annotations

import hmac
import secrets
from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.console.aside import aside
from spamfilter.console.page import anybody, form, page, problem, see_other, services
from spamfilter.console.security.accounts import Account
from spamfilter.console.security.caller import is_loopback
from spamfilter.console.security.identity import COOKIE, cookie
from spamfilter.console.security.link import LOCAL, PATH
from spamfilter.console.security.roles import Role, User

NONCE = "spamfilter_login"
"""A cookie that the form must repeat: nobody has signed in yet, so no session can hold the secret."""
MOST_BYTES = 16 * 1024

log = structlog.get_logger(__name__)


@anybody
async def enter(request: Request) -> Response:
    """GET /enter?key=...: sign in as this machine's admin, once."""
    if request.state.user is not None:
        return see_other("/")
    link, key = services(request).security.link, request.query_params.get("key", "")
    try:
        opens = is_loopback(request.state.address) and await aside(link.redeem, key)
    except OSError as error:
        detail = f"The next link cannot be written: {error.strerror}. This one is still good; mend that, then open it."
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, detail)
    if not opens:
        detail = "This link was used already, or is of an earlier start. `spamfilter console link` shows a fresh one."
        return problem(request, HTTPStatus.FORBIDDEN, detail)
    local = User(LOCAL, Role.ADMIN)
    await _noted(request, local, "link")
    return signed_in(request, local, "/")


@anybody
async def login(request: Request) -> Response:
    """GET /login"""
    if request.state.user is not None:
        return see_other(_local(request.query_params.get("next", "/")))
    return _page(request)


@anybody
async def check(request: Request) -> Response:
    """POST /login: name, password, and where to go then."""
    given = await form(request)
    name, address, security = given.get("name", "")[:64], request.state.address, services(request).security
    nonce = request.cookies.get(NONCE, "")
    if not nonce or not hmac.compare_digest(nonce.encode(), given.get("nonce", "").encode()):
        return _page(request, error="The page was open for too long. Try again.", status=HTTPStatus.FORBIDDEN)
    async with security.hashing:  # the wait too: of many guesses at once most find that others have failed
        wait_s = security.limit.wait_s(address, name)
        if wait_s > 0:
            text = f"Too many wrong passwords. Try again in {max(1, round(wait_s))} seconds."
            return _page(request, error=text, name=name, status=HTTPStatus.TOO_MANY_REQUESTS)
        account = await aside(security.accounts.check, name, given.get("password", ""))
        if account is None:
            security.limit.failed(address, name)
    if account is None:
        log.warning("console.sign_in_failed", name=name, address=address)
        text = "Name or password are wrong."
        return _page(request, error=text, name=name, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    security.limit.succeeded(address, name)
    who = User(account.name, account.role)
    await _noted(request, who, "password")
    return signed_in(request, who, _local(given.get("next", "/")), account=account)


def signed_in(request: Request, who: User, then: str, *, account: Account | None = None) -> Response:
    """Begin a session and go on to `then`. A session that the browser had before ends."""
    sessions = services(request).security.sessions
    sessions.close(request.cookies.get(COOKIE, ""))
    ident = sessions.open(who, stamp="" if account is None else account.stamp)
    response = see_other(then)
    fresh = cookie(COOKIE, ident, secure=request.state.secure, longest_s=sessions.longest_s)
    response.headers.append("set-cookie", fresh)
    return response


async def _noted(request: Request, who: User, how: str) -> None:
    note = services(request).audit.note
    await aside(note, who.name, str(who.role), "sign-in", who.name, how, request.state.address or None)


def _page(request: Request, *, error: str = "", name: str = "", status: int = HTTPStatus.OK) -> Response:
    nonce = secrets.token_urlsafe(24)
    wanted = _local(request.query_params.get("next", "/"))
    link = is_loopback(services(request).settings.listen.host)
    response = page(request, "login.html", status=status, error=error, name=name, next=wanted, nonce=nonce, link=link)
    response.headers.append("set-cookie", cookie(NONCE, nonce, secure=request.state.secure, longest_s=3600))
    return response


def _local(path: str) -> str:
    """A path of this console; anything else leads to the first page, never to another site."""
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if fine else "/"


routes = [
    Route(PATH, enter),
    Route("/login", login),
    Route("/login", check, methods=["POST"], max_body_size=MOST_BYTES),
]
