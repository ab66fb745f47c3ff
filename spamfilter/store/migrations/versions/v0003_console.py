"""What the console reads: decisions to search in, their tallies, samples of the mail, and who did what by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One index that answers every filter; `hourly`, `spreads`, `samples` and `audit`.

    Decisions that are there already get their `parties`, and are tallied, by the log's writer while it has time.
    """
    moment = sa.DateTime(timezone=True)
    op.add_column("decisions", sa.Column("parties", sa.Text))
    for index in ("decisions_by_time", "decisions_by_label", "decisions_by_sender", "decisions_by_model"):
        op.drop_index(index, "decisions")
    op.create_index(
        "decisions_by_time",
        "decisions",
        ["time", "id", "label", "action", "disposition", "channel", "probability", "model_id", "parties"],
    )
    op.create_table(
        "hourly",
        sa.Column("hour", moment, primary_key=True),
        sa.Column("channel", sa.String(32), primary_key=True),
        sa.Column("model_id", sa.String(128), primary_key=True),
        sa.Column("label", sa.String(16), primary_key=True),
        sa.Column("action", sa.String(16), primary_key=True),
        sa.Column("failure", sa.String(32), primary_key=True),
        sa.Column("asked", sa.Boolean, primary_key=True),
        sa.Column("recalled", sa.Boolean, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "spreads",
        sa.Column("series", sa.String(64), primary_key=True),
        sa.Column("day", moment, primary_key=True),
        sa.Column("model_id", sa.String(128), primary_key=True),
        sa.Column("bin", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "samples",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("time", moment, nullable=False),
        sa.Column("model_id", sa.String(128), nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("language", sa.String(16)),
        sa.Column("unknown", sa.Float),
        sa.Column("inputs", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("samples_by_time", "samples", ["time"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("time", moment, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("address", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_time", "audit", ["time", "id"])
