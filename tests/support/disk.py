"""A disk without room."""

import sqlite3


def fill(monkeypatch):
    """From now on SQLite's files do not grow, until `monkeypatch.undo`; the last page has room for a few rows."""
    opened = sqlite3.connect

    def full(*arguments, **options):
        connection = opened(*arguments, **options)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(sqlite3.dbapi2, "connect", full)
