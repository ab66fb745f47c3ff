"""Whose request it is: a session's cookie, a trusted proxy's user, a program's token, or a program of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from spamfilter.console.security.caller import Caller, is_loopback
from spamfilter.console.security.roles import Role, User
from spamfilter.console.security.sessions import Session
from spamfilter.console.services import Services

COOKIE = "spamfilter_session"
_API = "/v1/"
_PROGRAM = "local program"


@dataclass(frozen=True, slots=True)
class Identity:
    """`user` is None for strangers, `session` for strangers and programs."""

    user: User | None = None
    session: Session | None = None


def identify(scope: Scope, headers: Headers, who: Caller, services: Services, *, loopback: bool) -> Identity:
    """The identity behind a request. Raises ConfigError where the file of accounts or tokens is damaged."""
    security = services.security
    if who.proxied is not None:
        user = User(who.proxied, Role(services.settings.proxy.role))
        return Identity(user, security.sessions.vouched(user))
    ident = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    session = security.sessions.find(ident) if ident else None
    if session is not None and _stands(session, services):
        return Identity(session.user, session)
    if scope["path"].startswith(_API):
        return Identity(_program(headers, who, services, loopback=loopback))
    return Identity()


def _stands(session: Session, services: Services) -> bool:
    """False where the account behind a session is gone, or has another password or role."""
    if not session.stamp:
        return True
    account = services.security.accounts.find(session.user.name)
    return account is not None and account.stamp == session.stamp and account.role is session.user.role


def _program(headers: Headers, who: Caller, services: Services, *, loopback: bool) -> User | None:
    """A program by its token; without one only from this machine, where nothing can have been passed on by a proxy."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = services.security.tokens.find(secret.strip())
        return None if token is None else User(f"token {token.name}", Role.VIEWER)
    settings = services.settings
    alone = loopback and who.direct and not settings.proxy.header and not settings.hosts
    return User(_PROGRAM, Role.VIEWER) if alone and is_loopback(who.address) else None


def cookie(name: str, value: str, *, secure: bool, longest_s: float | None) -> str:
    """A Set-Cookie value that scripts cannot read and other sites' pages do not send; "" as the value takes it away."""
    age = 0 if not value else None if longest_s is None else int(longest_s)
    parts = [f"{name}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if age is not None:
        parts.append(f"Max-Age={age}")
    if secure:
        parts.append("Secure")
    return "; ".join(parts)
