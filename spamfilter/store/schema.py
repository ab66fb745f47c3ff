"""The tables of the store, in types that SQLite and PostgreSQL both have.

A change here is a new file in `migrations/versions` and a new `HEAD`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

HEAD = "0003"
"""The newest migration."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC. SQLite has no zones: there it is written without one, readable and sortable."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(64), primary_key=True),  # Message.id
    Column("time", UtcDateTime, nullable=False),
    Column("channel", String(32), nullable=False),
    Column("mail_from", Text),  # null: unknown; empty: the null sender
    Column("rcpt_tos", JSON, nullable=False),
    Column("peer", Text),  # name[address], as Postfix writes it
    Column("sha256", String(64), nullable=False),
    Column("content", String(64)),  # correction.content_hash: labels know the message by it; null: not scanned
    Column("size", Integer, nullable=False),  # bytes
    Column("label", String(16)),  # null: not scanned, see failure
    Column("probability", Float),
    Column("stages", JSON, nullable=False),
    Column("unsure_at", Float),
    Column("spam_at", Float),
    Column("failure", String(32)),
    Column("failure_detail", Text),
    Column("action", String(16), nullable=False),
    Column("model_id", String(128)),
    Column("timings", JSON, nullable=False),  # milliseconds by step
    Column("recalled", JSON(none_as_null=True)),  # the labelled message that this one was like
    Column("disposition", String(32), nullable=False),
    Column("disposition_detail", Text),
    Column("settled", UtcDateTime),
    Column("parties", Text),  # parties.parties_of, to search in; null: not yet, and not in the tallies either
    # every filter is answered in this one, newest first; of the table only the rows that are shown are read
    Index(
        "decisions_by_time",
        *("time", "id", "label", "action", "disposition", "channel", "probability", "model_id", "parties"),
    ),
    Index("decisions_by_sha256", "sha256"),
    Index("decisions_by_content", "content"),
)

hourly = Table(
    "hourly",  # how many decisions of a kind in each hour; kept when the decisions themselves are forgotten
    metadata,
    Column("hour", UtcDateTime, primary_key=True),
    Column("channel", String(32), primary_key=True),
    Column("model_id", String(128), primary_key=True),  # "": not scanned
    Column("label", String(16), primary_key=True),  # or "unscanned"
    Column("action", String(16), primary_key=True),
    Column("failure", String(32), primary_key=True),  # "": none
    Column("asked", Boolean, primary_key=True),  # the GPT was
    Column("recalled", Boolean, primary_key=True),  # a corrected message was remembered
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)

spreads = Table(
    "spreads",  # how probabilities and times were spread on each day, in bins; kept like `hourly`
    metadata,
    Column("series", String(64), primary_key=True),  # "probability", or "took" and a step
    Column("day", UtcDateTime, primary_key=True),
    Column("model_id", String(128), primary_key=True),
    Column("bin", Integer, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)

labels = Table(
    "labels",  # what was said of a content, event by event; the last one that stands wins
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("content", String(64), nullable=False),  # correction.content_hash
    Column("label", String(16)),  # null: forgotten
    Column("who", Text, nullable=False),
    Column("how", String(64), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("undone", UtcDateTime),  # null: it stands
    Column("undone_by", Text),
    Index("labels_by_content", "content", "id"),
    Index("labels_by_time", "time"),
    sqlite_autoincrement=True,
)

examples = Table(
    "examples",  # what is kept of each labelled content; the label that stands is repeated here
    metadata,
    Column("content", String(64), primary_key=True),
    Column("label", String(16), nullable=False),
    Column("who", Text, nullable=False),
    Column("how", String(64), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("time", UtcDateTime, nullable=False),  # of the label
    Column("kind", String(8), nullable=False),
    Column("size", Integer, nullable=False),  # bytes of the message
    Column("extraction", String(64), nullable=False),  # document.EXTRACTION that made the document
    Column("sealed", Boolean, nullable=False),  # document and raw are encrypted
    Column("document", LargeBinary, nullable=False),
    Column("raw", LargeBinary),
    Column("model_id", String(128)),  # null: no model has read it yet; so are the next three
    Column("probability", Float),
    Column("fingerprint", LargeBinary),  # its version and (64,) of uint32, little-endian
    Column("pooled", LargeBinary),  # (C,) float16, little-endian
    Index("examples_by_time", "time", "content"),
    Index("examples_by_label", "label", "time", "content"),
)

samples = Table(
    "samples",  # what each scored message was like, without what it said: for watching whether mail changes
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("time", UtcDateTime, nullable=False),
    Column("model_id", String(128), nullable=False),
    Column("probability", Float, nullable=False),
    Column("language", String(16)),
    Column("unknown", Float),  # share of the n-gram features that the model gives no weight
    Column("inputs", LargeBinary),
    Index("samples_by_time", "time"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",  # who did what, by hand
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("time", UtcDateTime, nullable=False),
    Column("who", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),  # what it was done to: a decision's id, an account, a model
    Column("detail", Text),
    Column("address", Text),  # of the host that asked
    Index("audit_by_time", "time", "id"),
    sqlite_autoincrement=True,
)
