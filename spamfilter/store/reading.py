"""A connection of one that only reads: opened where the tables are right, let go whole, its errors made for people."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, Row
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from spamfilter.store.database import StoreError, open_database, reason, require_current, shown


class Reading:
    """Reads beside whoever writes; any thread may ask. `what` names for people what is read: "the labels"."""

    def __init__(self, url: URL, what: str) -> None:
        self._url, self._what = url, what
        self._engine: Engine | None = None

    def open(self) -> None:
        """Connect. Raises StoreError where the tables are not what this version reads: whoever serves makes them."""
        engine = open_database(self._url, writer=False)
        try:
            require_current(engine)
        except BaseException:
            engine.dispose()
            raise
        self._engine = engine

    def close(self) -> None:
        """Let go of the database."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def rows(self, statement: Any) -> list[Row[Any]]:
        """All that a SELECT finds. Raises StoreError."""
        if self._engine is None:
            raise StoreError(f"{shown(self._url)}: {self._what} are closed")
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(statement).all())
        except SQLAlchemyError as error:
            raise StoreError(f"{shown(self._url)}: {self._what} cannot be read: {reason(error)}") from None
