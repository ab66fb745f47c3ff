"""The listener: takes connections within limits, and stops without dropping a message that is in work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from spamfilter.config import MIB, Address, SmtpSettings
from spamfilter.frontends.smtp.connection import Connection
from spamfilter.frontends.smtp.custody import Custody
from spamfilter.frontends.smtp.data import Budget
from spamfilter.frontends.smtp.keep import Keep
from spamfilter.frontends.smtp.local import LocalNextHop
from spamfilter.frontends.smtp.next_hop import NextHop
from spamfilter.frontends.smtp.reply import Reply
from spamfilter.frontends.smtp.session import House, Session
from spamfilter.frontends.smtp.upstream import SmtpNextHop
from spamfilter.headers import Markup
from spamfilter.scanner import Scanner
from spamfilter.store.maildir import Maildir

_LEAST_GRACE_S = 0.05  # so that the idle ones hear why
_log = structlog.get_logger(__name__)


class SmtpFrontend:
    """The SMTP relay. `maildir` takes the mail when `settings.next_hop` is empty; `quarantine` is a Maildir, too."""

    def __init__(
        self, settings: SmtpSettings, scanner: Scanner, markup: Markup, maildir: Path, quarantine: Path
    ) -> None:
        self._settings = settings
        self._maildirs = [Maildir(quarantine, markup.hostname)]
        next_hop: NextHop
        if settings.next_hop is None:
            local = Maildir(maildir, markup.hostname)
            self._maildirs.append(local)
            next_hop = LocalNextHop(local)
        else:
            next_hop = SmtpNextHop(
                settings.next_hop,
                hostname=markup.hostname,
                connect_timeout_s=settings.connect_timeout_s,
                reply_timeout_s=settings.reply_timeout_s,
                final_timeout_s=settings.final_timeout_s,
                keep=Keep(settings.keep_connections, settings.keep_idle_s, settings.keep_messages),
            )
        self._house = House(
            settings=settings,
            hostname=markup.hostname,
            next_hop=next_hop,
            custody=Custody(scanner, markup, self._maildirs[0], max_received=settings.max_received),
            budget=Budget(settings.max_in_flight_mib * MIB),
            max_size=settings.max_size_mib * MIB,
            admit=self._admit,
        )
        self._sessions: dict[asyncio.Task[None], Connection] = {}
        self._server: asyncio.Server | None = None
        self._address = settings.listen
        self._stopping = False

    async def start(self) -> None:
        """Prepare the Maildirs and listen. Raises OSError."""
        for maildir in self._maildirs:
            await asyncio.to_thread(maildir.prepare)
        loop = asyncio.get_running_loop()
        listen = self._settings.listen
        backlog = max(100, self._settings.max_sessions)
        if listen.path:
            self._server = await loop.create_unix_server(self._session, listen.path, backlog=backlog)
        else:
            self._server = await loop.create_server(self._session, listen.host, listen.port, backlog=backlog)
            self._address = Address(host=listen.host, port=self._server.sockets[0].getsockname()[1])
        _log.info("listening", address=str(self.address), next_hop=str(self._settings.next_hop or "local Maildir"))

    @property
    def address(self) -> Address:
        """Where we listen, with the port that the system chose when the configured one is 0."""
        return self._address

    @property
    def sessions(self) -> int:
        """Connections that are open or have something in work."""
        return len(self._sessions)

    @property
    def bytes_in_flight(self) -> int:
        """Mail bytes that all sessions hold."""
        return self._house.budget.held

    async def stop(self, grace_s: float) -> None:
        """Take no connection, let transactions end within `grace_s` seconds, then 421 and close.

        May be called again, also without `start`; a message that had no answer by then is still its sender's.
        """
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions.values()):
            session.dismiss()
        if self._sessions:
            await asyncio.wait(list(self._sessions), timeout=max(grace_s, _LEAST_GRACE_S))
        if self._sessions:
            _log.warning("sessions_cut_off", count=len(self._sessions))
            for task in self._sessions:
                task.cancel()
            await asyncio.wait(list(self._sessions))
        self._house.next_hop.close()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
            if self._address.path:
                Path(self._address.path).unlink(missing_ok=True)

    def _session(self) -> Session:
        return Session(self._house, asyncio.get_running_loop())

    def _admit(self, session: Connection) -> Reply | None:
        """Count a session until it ends; a reply when it cannot be served."""
        busy = len(self._sessions) >= self._settings.max_sessions
        self._sessions[session.task] = session
        session.task.add_done_callback(self._sessions.pop)
        if self._stopping:
            return Reply.of(421, "4.3.2 Service shutting down, try again later")
        if busy:
            _log.warning("too_many_sessions", limit=self._settings.max_sessions)
            return Reply.of(421, "4.7.0 Too many connections, try again later")
        return None
