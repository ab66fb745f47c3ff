"""The audit, opened with its first note: its tables are made when the daemon starts, later than the console is."""

from __future__ import annotations

import threading

from sqlalchemy.engine import URL

from spamfilter.store.audit import Audit


class Book:
    """As `store.audit.Audit`, for any thread."""

    def __init__(self, database: URL) -> None:
        self._database = database
        self._audit: Audit | None = None
        self._turn = threading.Lock()

    def note(self, who: str, role: str, action: str, subject: str, detail: str | None, address: str | None) -> None:
        """Add a row, committed when this returns. Raises StoreError."""
        with self._turn:
            if self._audit is None:
                self._audit = Audit(self._database)
        self._audit.note(who, role, action, subject, detail, address)

    def close(self) -> None:
        """Let go of the database; the next note opens it again."""
        with self._turn:
            if self._audit is not None:
                self._audit.close()
            self._audit = None
