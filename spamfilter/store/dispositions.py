"""What became of a message after its decision was settled: released or deleted by hand, also without the daemon."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from spamfilter.store.database import StoreError, open_database, reason, shown
from spamfilter.store.decision_rows import settlement
from spamfilter.store.schema import decisions
from spamfilter.verdict import Disposition


def note_disposition(url: URL, id_: str, disposition: Disposition, detail: str = "") -> bool:
    """Note it, committed when this returns; False where there is no such decision any more. Raises StoreError."""
    engine = open_database(url, writer=True)
    try:
        with engine.begin() as connection:
            statement = update(decisions).where(decisions.c.id == id_).values(settlement(disposition, detail))
            return connection.execute(statement).rowcount > 0
    except SQLAlchemyError as error:
        raise StoreError(f"{shown(url)}: the decision log cannot be written: {reason(error)}") from None
    finally:
        engine.dispose()
