"""What commands share: the two consoles, and errors as one line."""

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


@contextmanager
def friendly_errors() -> Iterator[None]:
    """What a user can act on becomes one red line on stderr and exit code 1; any other error passes.

    That is a DigitsError, the file system's OSError, and the ImportError of a package that only some paths need.
    """
    try:
        yield
    except (DigitsError, OSError, ImportError) as error:
        print_error(str(error))
        raise typer.Exit(1) from error


def print_error(text: str) -> None:
    """Prints an error as one red line on stderr."""
    line = " ".join(text.split())
    stderr.print(f"error: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
