"""Decisions of an older version: made searchable and tallied afterwards, a few at a time, by the log's own thread."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, bindparam, select, tuple_, update

from spamfilter.store.parties import parties_of
from spamfilter.store.schema import decisions
from spamfilter.store.tallies import Tallies

ROWS = 1_000
"""In one transaction: some tens of milliseconds."""


class CatchUp:
    """Goes once from the newest decision to the oldest. A row without `parties` is one that was not counted yet."""

    def __init__(self) -> None:
        self.done = False
        self._last: tuple[datetime, str] | None = None

    def step(self, engine: Engine) -> None:
        """See to the next rows; `done` is set when there are none. Raises SQLAlchemyError, and then nothing is done."""
        column = decisions.c
        key = tuple_(column.time, column.id)
        wanted = select(decisions).where(column.parties.is_(None)).order_by(column.time.desc(), column.id.desc())
        if self._last is not None:
            wanted = wanted.where(key < tuple_(*self._last, types=[column.time.type, column.id.type]))
        with engine.begin() as connection:
            # another host may do the same to a shared database: each row is one host's
            rows = connection.execute(wanted.limit(ROWS).with_for_update(skip_locked=True)).mappings().all()
            if not rows:
                self.done = True
                return
            tallies = Tallies()
            for row in rows:
                tallies.add(dict(row))
            tallies.write(connection)
            filled = [
                {"of": row["id"], "text": parties_of(row["mail_from"], row["peer"], row["rcpt_tos"])} for row in rows
            ]
            statement = update(decisions).where(column.id == bindparam("of")).values(parties=bindparam("text"))
            connection.execute(statement, filled)
        self._last = (rows[-1]["time"], rows[-1]["id"])
