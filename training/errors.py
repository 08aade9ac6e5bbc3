"""The base class of errors that a user can act on; commands print them as one line, without a traceback."""

from __future__ import annotations


class DigitsError(Exception):
    """An error the user can act on: its text says what was found and what is wanted."""
