"""Migrations of the table of corrections (Alembic); `Corrections.prepare` applies the missing ones."""
