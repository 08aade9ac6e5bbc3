"""Who sent which picture, as a digest: a later correction of a picture by the same client replaces the earlier one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the column, which is unknown of corrections that are there; an index makes it unique."""
    op.add_column("corrections", sa.Column("author", sa.String(32)))
    op.create_index("corrections_author", "corrections", ["author"], unique=True)


def downgrade() -> None:
    """Drops the column."""
    op.drop_index("corrections_author", "corrections")
    op.drop_column("corrections", "author")
