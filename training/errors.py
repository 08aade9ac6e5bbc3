"""The base of every error that a user can act on; commands show such an error as one line, without a traceback."""

from __future__ import annotations


class DigitsError(Exception):
    """An error the user can act on: its text says what was found and what is wanted."""
