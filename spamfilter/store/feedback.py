"""What people's labels say of a model's decisions: how many it made, and which of them were contradicted.

A decision and a label meet in the message's content hash, whichever copy the person had before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.engine import URL

from spamfilter.correction import Corrected
from spamfilter.store.database import open_database
from spamfilter.store.schema import decisions, examples
from spamfilter.verdict import Label


class StoredFeedback:
    """Reads the store's database; a connection a question, so that it may be asked in any thread."""

    def __init__(self, url: URL) -> None:
        self._engine = open_database(url, writer=False)

    def corrections(self, since: datetime) -> Iterator[Corrected]:
        """Labels given since then to messages that have a decision; of several decisions the latest counts."""
        labelled = select(examples.c.content).where(examples.c.time >= since)
        latest = (
            select(decisions.c.content, func.max(decisions.c.time).label("time"))
            .where(decisions.c.label.is_not(None), decisions.c.content.in_(labelled))
            .group_by(decisions.c.content)
            .subquery()
        )
        wanted = (
            select(examples.c.time, examples.c.label, decisions.c.model_id, decisions.c.label.label("said"))
            .join(decisions, decisions.c.content == examples.c.content)
            .join(latest, (latest.c.content == decisions.c.content) & (latest.c.time == decisions.c.time))
            .where(examples.c.time >= since)
            .order_by(examples.c.time)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
        yield from (Corrected(row.time, str(row.model_id), Label(row.said), Label(row.label)) for row in rows)

    def decisions(self, model_id: str, since: datetime) -> int:
        """How many messages the model has given a label since then."""
        counted = select(func.count()).where(decisions.c.model_id == model_id, decisions.c.time >= since)
        with self._engine.connect() as connection:
            return int(connection.execute(counted.where(decisions.c.label.is_not(None))).scalar_one())
