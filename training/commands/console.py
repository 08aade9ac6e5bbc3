"""Output of the commands: the consoles for stdout and stderr, and errors as one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import Iterator

stdout = Console(highlight=False)  # results
stderr = Console(stderr=True)  # progress and errors, so that results can be piped

NAMED = 10
"""Maximum number of rows or pictures that cannot be read that are named."""


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Turns an error that a user can act on into one red line on stderr and exit code 1; other errors pass.

    These are DigitsError, OSError of the file system, and ImportError of an optional package.
    """
    try:
        yield
    except (DigitsError, OSError, ImportError) as error:
        print_error(str(error))
        raise typer.Exit(1) from error


def warn(text: str) -> None:
    """Prints a warning as one yellow line on stderr."""
    stderr.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


class Unread:
    """Names the first `things` that cannot be read on stderr, and counts the others."""

    def __init__(self, things: str) -> None:
        self._things = things
        self._told = 0

    def __call__(self, text: str) -> None:
        self._told += 1
        if self._told <= NAMED:
            warn(text)

    def rest(self) -> None:
        """Says how many were not named."""
        if self._told > NAMED:
            warn(f"and {self._told - NAMED:,} other {self._things} cannot be read")


def print_error(text: str) -> None:
    """Prints an error as one red line on stderr."""
    line = " ".join(text.split())
    stderr.print(f"error: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
