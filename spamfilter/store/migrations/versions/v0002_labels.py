"""What people say of messages: one row a correction, and one for what is kept of each labelled content."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create `labels`, `examples` and their indexes; decisions say which labelled message theirs was like."""
    op.add_column("decisions", sa.Column("recalled", sa.JSON))
    op.add_column("decisions", sa.Column("content", sa.String(64)))
    op.create_index("decisions_by_content", "decisions", ["content"])
    op.create_index("decisions_by_model", "decisions", ["model_id", "time"])
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "labels",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("label", sa.String(16)),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("how", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("time", moment, nullable=False),
        sa.Column("undone", moment),
        sa.Column("undone_by", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("labels_by_content", "labels", ["content", "id"])
    op.create_index("labels_by_time", "labels", ["time"])
    op.create_table(
        "examples",
        sa.Column("content", sa.String(64), primary_key=True),
        sa.Column("label", sa.String(16), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("how", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("time", moment, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("extraction", sa.String(64), nullable=False),
        sa.Column("sealed", sa.Boolean, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("model_id", sa.String(128)),
        sa.Column("probability", sa.Float),
        sa.Column("fingerprint", sa.LargeBinary),
        sa.Column("pooled", sa.LargeBinary),
    )
    op.create_index("examples_by_time", "examples", ["time", "content"])
    op.create_index("examples_by_label", "examples", ["label", "time", "content"])
