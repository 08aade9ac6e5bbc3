"""Alembic's environment: the migrations run in the transaction of `Corrections.prepare`."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
context.run_migrations()
