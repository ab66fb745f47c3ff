"""The gate that every request passes: which name was asked for, whose page sent it, who it is.

It stands outside the routes, so that no page can forget it, and puts what the browser has to forbid on every answer.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spamfilter.config import ConfigError
from spamfilter.console.security.caller import caller, is_loopback
from spamfilter.console.security.headers import response_headers
from spamfilter.console.security.identity import identify
from spamfilter.console.security.origin import answers_to, from_elsewhere, host_name
from spamfilter.console.services import Services

LARGE_BYTES = 256 * 1024
LARGE_AT_ONCE = 4
"""So many bodies of more than LARGE_BYTES are read at a time: each is held in memory, several times over."""


class Refuse(Protocol):
    """Makes a page, or JSON, that says why not: `page.problem`."""

    def __call__(self, request: Request, status: int, detail: str, **headers: str) -> Response: ...


class Gate:
    """ASGI middleware around the whole application, its faults included.

    Sets `request.state` to `user`, `session` (each may be None), `address` and `secure`.
    """

    def __init__(self, app: ASGIApp, services: Services, refuse: Refuse) -> None:
        self._app = app
        self._services = services
        self._refuse = refuse
        self._loopback = is_loopback(services.settings.listen.host)
        self._large = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        settings = self._services.settings
        headers = Headers(scope=scope)
        who = caller(scope, settings.proxy)
        scope.setdefault("state", {}).update(user=None, session=None, address=who.address, secure=who.secure)
        fields = response_headers(scope["path"], secure=who.secure)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *fields]
            await send(message)

        app: ASGIApp | None = self._refusal(scope, headers)
        if app is None:
            try:
                found = identify(scope, headers, who, self._services, loopback=self._loopback)
                scope["state"].update(user=found.user, session=found.session)
                app = self._app
            except ConfigError as error:
                app = self._refuse(Request(scope), HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        if scope["state"]["user"] is None or not _is_large(headers):  # of a stranger nothing large is read
            await app(scope, receive, sent)
            return
        if self._large >= LARGE_AT_ONCE:
            detail = "Other large messages are being read just now. Try again in a moment."
            app = self._refuse(Request(scope), HTTPStatus.SERVICE_UNAVAILABLE, detail, **{"Retry-After": "5"})
            await app(scope, receive, sent)
            return
        self._large += 1
        try:
            await app(scope, receive, sent)
        finally:
            self._large -= 1

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that must not come in, whoever sent it."""
        if not answers_to(host_name(headers), self._services.settings.hosts, loopback=self._loopback):
            detail = "This console does not answer under that name; an admin can add it to `console.hosts`."
        elif from_elsewhere(scope["method"], headers):
            detail = "That request came from another site's page."
        elif _length(headers) > self._services.most_body_bytes:
            limit = self._services.config.engine.max_message_mib
            detail = f"Larger than {limit} MiB, the most that is scanned (`engine.max_message_mib`)."
            return self._refuse(Request(scope), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        elif not _is_plain(headers):
            return self._refuse(Request(scope), HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Forms are read in UTF-8.")
        else:
            return None
        return self._refuse(Request(scope), HTTPStatus.FORBIDDEN, detail)


def _length(headers: Headers) -> int:
    """What the request says of its body; 0 where it does not, and where the server will count."""
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else 0


def _is_large(headers: Headers) -> bool:
    """Whether a body has many bytes, or does not say how many."""
    return "transfer-encoding" in headers or _length(headers) > LARGE_BYTES


def _is_plain(headers: Headers) -> bool:
    """False for a form in an encoding other than browsers send: some make text of it that is none."""
    media_type, _, more = headers.get("content-type", "").lower().partition(";")
    return media_type.strip() != "multipart/form-data" or "charset" not in more or "utf-8" in more
