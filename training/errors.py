"""The base class of errors that a user can act on; commands print them as one line, without a traceback."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

NEAR: Final = 0.6
"""Similarity, from 0 to 1, from which on a choice is taken for what was meant."""


class DigitsError(Exception):
    """An error the user can act on: its text says what was found and what is wanted."""


def did_you_mean(found: str, choices: Iterable[str]) -> str:
    """The end of an error about a wrong choice: the nearest of the choices, or empty if none is near."""
    near = get_close_matches(found, [*choices], 1, NEAR)
    return f"; did you mean {near[0]}?" if near else ""
