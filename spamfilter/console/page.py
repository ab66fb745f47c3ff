"""What every page is made with: `needs` says who may see it, `page` renders it, `problem` tells what went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache, wraps
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from spamfilter import __version__
from spamfilter.console import shown
from spamfilter.console.aside import aside
from spamfilter.console.navigation import MENU, is_active
from spamfilter.console.security import csrf
from spamfilter.console.security.origin import SAFE_METHODS
from spamfilter.console.security.roles import Role, User
from spamfilter.console.services import Services

HERE = Path(__file__).parent
STATIC = HERE / "static"
API = "/v1"
Endpoint = Callable[[Request], Awaitable[Response]]


def services(request: Request) -> Services:
    """What stands behind the page."""
    found: Services = request.app.state.services
    return found


def user(request: Request) -> User:
    """Who is signed in; only for endpoints that need a role."""
    found: User = request.state.user
    return found


def needs(role: Role) -> Callable[[Endpoint], Endpoint]:
    """Decorates an endpoint that only `role`, or one that includes it, may call.

    Whoever is not signed in is sent to do so. Whatever is not a GET has to bring the session's CSRF secret: in the form
    field that `{{ csrf_field() }}` makes, or in the header that `console.js` sends.
    """

    def decorated(endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            who: User | None = request.state.user
            if who is None:
                return _sign_in(request)
            if not who.role.includes(role):
                return problem(request, HTTPStatus.FORBIDDEN, f"That is for the role {role}; yours is {who.role}.")
            session = request.state.session
            try:
                if request.method not in SAFE_METHODS and session is not None:
                    most = services(request).most_bytes
                    if not await csrf.brings(request, session.csrf, most_bytes=most):
                        detail = "The page was open for too long, or was not one of ours. Load it again, then repeat."
                        return problem(request, HTTPStatus.FORBIDDEN, detail)
                return await endpoint(request)
            finally:
                await request.close()  # the files of a form

        return opened_to(guarded, role)

    return decorated


def anybody(endpoint: Endpoint) -> Endpoint:
    """Marks an endpoint that needs nobody to be signed in."""
    return opened_to(endpoint, None)


def opened_to(endpoint: Endpoint, role: Role | None) -> Endpoint:
    """Writes on an endpoint who may call it; `app` refuses to serve one without."""
    endpoint.opened_to = role  # type: ignore[attr-defined]
    return endpoint


def page(request: Request, template: str, *, status: int = HTTPStatus.OK, **context: Any) -> HTMLResponse:
    """A template with `context`, and with `user`, `menu`, `csrf` and `csrf_field()`.

    Filters: `shown` for what strangers wrote, `when` for a datetime, `percent` for a share, `size` for bytes.
    """
    session = request.state.session
    secret = "" if session is None else session.csrf
    field = Markup('<input type="hidden" name="{}" value="{}">').format(csrf.FIELD, secret)
    who: User | None = request.state.user
    path = request.url.path
    menu = [(entry, is_active(entry, path)) for entry in MENU if who is not None and who.role.includes(entry.role)]
    html = (
        _environment()
        .get_template(template)
        .render({"user": who, "menu": menu, "path": path, "csrf": secret, "csrf_field": lambda: field, **context})
    )
    return HTMLResponse(html, status_code=status)


def problem(request: Request, status: int, detail: str, **headers: str) -> Response:
    """An error as a page for people, or as JSON (RFC 9457) for programs; both say what happened and what to do."""
    title = HTTPStatus(status).phrase
    if wants_json(request):
        plain = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
        return JSONResponse(plain, status, headers, media_type="application/problem+json")
    response = page(request, "problem.html", status=status, title=title, detail=detail)
    response.headers.update(headers)
    return response


def wants_json(request: Request) -> bool:
    """True for the API, and for our own scripts, which say so in `Accept`."""
    return request.url.path.startswith(f"{API}/") or "application/json" in request.headers.get("accept", "")


async def form(request: Request) -> dict[str, str]:
    """The text fields of a posted form; the last one of a name counts."""
    posted = await request.form(max_files=4, max_fields=500, max_part_size=services(request).most_bytes)
    return {name: value for name, value in posted.items() if not isinstance(value, UploadFile)}


async def audited(request: Request, action: str, subject: str, detail: str | None = None) -> None:
    """Note in the audit what the signed-in user does (`decision.mark`, `model.activate`), to what, and how.

    Call it before the act: what cannot be noted must not be done. Raises StoreError.
    """
    who: User = request.state.user
    note = services(request).audit.note
    await aside(note, who.name, str(who.role), action, subject, detail, request.state.address or None)


def see_other(path: str) -> RedirectResponse:
    """After a form: look there (RFC 9110 15.4.4)."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def _sign_in(request: Request) -> Response:
    if wants_json(request):
        scheme = {"WWW-Authenticate": "Bearer"} if request.url.path.startswith(f"{API}/") else {}
        return problem(request, HTTPStatus.UNAUTHORIZED, "Sign in first, or send a token: Authorization: Bearer …",
                       **scheme)  # fmt: skip
    if request.method not in SAFE_METHODS:
        return see_other("/login")
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return see_other("/login" if wanted == "/" else f"/login?next={quote(wanted)}")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"shown": shown.shown, "when": shown.when, "percent": shown.percent, "size": shown.size}
    made.globals["version"] = __version__
    return made
