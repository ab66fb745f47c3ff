"""Who is signed in: sessions in the daemon's memory, known to the browser by a random id that is kept here hashed.

They end with the daemon, after a time without a request, and after a time in any case.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from spamfilter.console.security.roles import User

MOST_SESSIONS = 10_000
"""Beyond it the one that was used longest ago ends."""


@dataclass(slots=True)
class Session:
    """One signed-in browser. `csrf` is what its forms must bring back; `stamp` the version of its account's password,
    "" where it has none; times are of the monotonic clock."""

    user: User
    csrf: str
    stamp: str
    began: float
    seen: float


class Sessions:
    """All sessions. `idle_s` is the longest time between two requests, `longest_s` a session's longest life."""

    def __init__(self, idle_s: float, longest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle_s = idle_s
        self.longest_s = longest_s
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._sessions: dict[str, Session] = {}  # by use, the last one used at the end

    def open(self, user: User, *, stamp: str = "") -> str:
        """Begin a session; the id for the browser's cookie."""
        now = self._clock()
        for key in [key for key, session in self._sessions.items() if self._is_over(session, now)]:
            del self._sessions[key]
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        ident = secrets.token_urlsafe(32)
        self._sessions[_key(ident)] = Session(user, secrets.token_urlsafe(32), stamp, now, now)
        return ident

    def find(self, ident: str) -> Session | None:
        """The session of a cookie, which counts as used now; None where there is none, or none any more."""
        session = self._sessions.pop(_key(ident), None)
        now = self._clock()
        if session is None or self._is_over(session, now):
            return None
        session.seen = now
        self._sessions[_key(ident)] = session
        return session

    def vouched(self, user: User) -> Session:
        """A session for one request of a user whom a proxy signs in each time: nothing of it is kept, so requests
        without cookies cannot crowd out anybody. Its secret for forms is the same for as long as the daemon runs.
        """
        now = self._clock()
        proof = hmac.new(self._secret, user.name.encode("utf-8", "surrogatepass"), "sha256").hexdigest()
        return Session(user, proof, "", now, now)

    def close(self, ident: str) -> None:
        """End one."""
        self._sessions.pop(_key(ident), None)

    def close_all(self, name: str) -> None:
        """End every session of a user."""
        for key in [key for key, session in self._sessions.items() if session.user.name == name]:
            del self._sessions[key]

    def _is_over(self, session: Session, now: float) -> bool:
        return now - session.seen > self._idle_s or now - session.began > self.longest_s


def _key(ident: str) -> str:
    return hashlib.sha256(ident.encode("utf-8", "replace")).hexdigest()
