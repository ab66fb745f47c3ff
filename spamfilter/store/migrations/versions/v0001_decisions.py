"""The decision log: one row a decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create `decisions` and its indexes."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("time", moment, nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("mail_from", sa.Text),
        sa.Column("rcpt_tos", sa.JSON, nullable=False),
        sa.Column("peer", sa.Text),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("label", sa.String(16)),
        sa.Column("probability", sa.Float),
        sa.Column("stages", sa.JSON, nullable=False),
        sa.Column("unsure_at", sa.Float),
        sa.Column("spam_at", sa.Float),
        sa.Column("failure", sa.String(32)),
        sa.Column("failure_detail", sa.Text),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("model_id", sa.String(128)),
        sa.Column("timings", sa.JSON, nullable=False),
        sa.Column("disposition", sa.String(32), nullable=False),
        sa.Column("disposition_detail", sa.Text),
        sa.Column("settled", moment),
    )
    op.create_index("decisions_by_time", "decisions", ["time", "id"])
    op.create_index("decisions_by_label", "decisions", ["label", "time"])
    op.create_index("decisions_by_sender", "decisions", ["mail_from", "time"])
    op.create_index("decisions_by_sha256", "decisions", ["sha256"])
