"""The table of corrections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates the table; keys are unique, and `received` has an index for retention."""
    op.create_table(
        "corrections",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("received", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client_key", sa.String(200), unique=True),
        sa.Column("model", sa.String(64)),
        sa.Column("version", sa.Integer()),
        sa.Column("predicted", sa.SmallInteger(), sa.CheckConstraint("predicted BETWEEN 0 AND 9")),
        sa.Column("digit", sa.SmallInteger(), sa.CheckConstraint("digit BETWEEN 0 AND 9"), nullable=False),
        sa.Column("pixels", sa.LargeBinary(), sa.CheckConstraint("length(pixels) = 784"), nullable=False),
        sqlite_autoincrement=True,  # or the id of the newest one could be used again after it is gone
    )
    op.create_index("corrections_received", "corrections", ["received"])


def downgrade() -> None:
    """Drops the table with all corrections."""
    op.drop_table("corrections")
