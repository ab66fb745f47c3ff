"""The console's interface for programs: verdicts over HTTP, described by `openapi`.

A message that the scanner can say nothing of is no error of the request: the answer is 200, its `label` null, and
`failure` and `action` say what policy wants done with it, as every other way in does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spamfilter import __version__
from spamfilter.config import MIB
from spamfilter.console.aside import aside
from spamfilter.console.openapi import DOCUMENT
from spamfilter.console.page import anybody, needs, services
from spamfilter.console.security.roles import Role
from spamfilter.console.verdicts import CHANNEL, decision_as_json, explanation_as_json, reported, tried
from spamfilter.message import Envelope, Kind, Message, Peer, kind_of
from spamfilter.verdict import Failure

_PROBE = Message(b"Are you there?", CHANNEL, kind=Kind.TEXT)
_NAMED_KINDS: Mapping[str, Kind | None] = {
    "message/rfc822": Kind.MAIL,
    "text/plain": None,
    "application/octet-stream": None,
    "": None,
}
_SWITCH = {"0": False, "1": True}
MOST_JSON_BYTES = 4 * MIB
"""While JSON is read mail waits, and a list of nothing takes thirty times its bytes."""


class _UnfitError(Exception):
    """What is wrong with the request."""


@needs(Role.VIEWER)
async def scan(request: Request) -> Response:
    """POST /v1/scan: the verdict on a message, logged unless `log=0`, explained where `explain=1`."""
    return await _answer(request, explain=_switch(request, "explain", False), log=_switch(request, "log", True))


@needs(Role.VIEWER)
async def explain(request: Request) -> Response:
    """POST /v1/explain: the verdict and its reasons, logged where `log=1`."""
    return await _answer(request, explain=True, log=_switch(request, "log", False))


@anybody
async def health(request: Request) -> Response:
    """GET /v1/health: whether a message would get a verdict now."""
    outcome = await services(request).engine.score(_PROBE)
    if isinstance(outcome, Failure):
        unable = {"status": "unable", "version": __version__, "failure": outcome.kind}
        return JSONResponse(unable, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"})
    return JSONResponse({"status": "ok", "version": __version__, "model": outcome.model_id})


@anybody
async def document(request: Request) -> Response:
    """GET /openapi.json"""
    return JSONResponse(DOCUMENT)


async def _answer(request: Request, *, explain: bool, log: bool) -> Response:
    message = await _message(request)
    behind = services(request)
    decision = await (reported if log else tried)(behind, message)
    answer = await aside(decision_as_json, behind, message, decision, logged=log)  # it hashes the message
    if explain:
        unscanned = decision.outcome if isinstance(decision.outcome, Failure) else None
        answer["explanation"] = explanation_as_json(unscanned or await behind.engine.explain(message))
    return JSONResponse(answer)


async def _message(request: Request) -> Message:
    """The message that the request holds. Raises HTTPException."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    envelope = Envelope(peer=Peer(request.state.address) if request.state.address else None)
    if media_type == "application/json":
        body = await request.body()
        if len(body) > MOST_JSON_BYTES:
            detail = f"JSON has at most {MOST_JSON_BYTES // MIB} MiB here; send the bare message, as message/rfc822."
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        try:
            given = _Given.read(body)
        except _UnfitError as error:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        envelope = Envelope(given.mail_from, given.rcpt_tos, envelope.peer)
        return Message(given.raw, CHANNEL, envelope, given.kind or kind_of(given.raw))
    if media_type not in _NAMED_KINDS:
        known = "application/json, message/rfc822 or text/plain"
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type {media_type}: send {known}.")
    raw = await request.body()
    kind = _kind(request.query_params.get("kind", "auto")) or _NAMED_KINDS[media_type] or kind_of(raw)
    return Message(raw, CHANNEL, envelope, kind)


@dataclass(frozen=True, slots=True)
class _Given:
    """The JSON of a request."""

    raw: bytes
    kind: Kind | None
    mail_from: str | None
    rcpt_tos: tuple[str, ...]

    @classmethod
    def read(cls, body: bytes) -> _Given:
        """From the body. Raises _UnfitError that says which field is wrong."""
        try:
            given = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _UnfitError(f"The body is no JSON: {error}") from None
        if not isinstance(given, dict) or not isinstance(given.get("message"), str):
            raise _UnfitError('The body is an object with the text of the message: {"message": "..."}')
        if unknown := sorted(set(given) - {"message", "kind", "mail_from", "rcpt_tos"}):
            raise _UnfitError(f"Unknown: {', '.join(unknown)[:200]}; known: message, kind, mail_from, rcpt_tos")
        mail_from, rcpt_tos = given.get("mail_from"), given.get("rcpt_tos", [])
        if not isinstance(mail_from, str | None):
            raise _UnfitError("`mail_from` is a text, or null where it is not known.")
        if not isinstance(rcpt_tos, list) or not all(isinstance(to, str) for to in rcpt_tos):
            raise _UnfitError("`rcpt_tos` is a list of texts.")
        try:
            kind = _kind(given.get("kind", "auto"))
        except HTTPException as error:
            raise _UnfitError(error.detail) from None
        return cls(given["message"].encode("utf-8", "replace"), kind, mail_from, tuple(rcpt_tos))


def _kind(name: Any) -> Kind | None:
    """None for `auto`. Raises HTTPException."""
    if name == "auto":
        return None
    try:
        return Kind(name)
    except ValueError:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "`kind` is mail, text or auto.") from None


def _switch(request: Request, name: str, default: bool) -> bool:
    """A query parameter that is 0 or 1. Raises HTTPException."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text not in _SWITCH:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"`{name}` is 0 or 1.")
    return _SWITCH[text]


routes = [
    Route("/v1/scan", scan, methods=["POST"]),
    Route("/v1/explain", explain, methods=["POST"]),
    Route("/v1/health", health),
    Route("/openapi.json", document),
]
