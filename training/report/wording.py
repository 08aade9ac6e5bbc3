"""Numbers formatted for people: percentages, intervals, durations."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SPACE, BY = "\N{NARROW NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NARROW NO-BREAK SPACE}"


def percent(share: float, places: int = 2) -> str:
    """A share of 0…1 as `0.74 %`."""
    return f"{100 * share:.{places}f}{SPACE}%"


def several(noun: str, numbers: Sequence[int]) -> str:
    """Numbers as `seed 0`, `seeds 0, 1, 2`."""
    return f"{noun}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def interval(ends: tuple[float, float]) -> str:
    """Two shares as `0.59 to 0.93 %`."""
    return f"{100 * ends[0]:.2f} to {percent(ends[1])}"


def count(number: float) -> str:
    """A number as `91,190`; a mean as `45.3`."""
    return f"{number:,.1f}".removesuffix(".0")


def shape(sides: Sequence[int]) -> str:
    """Sides as `24 x 24 x 32`, with the sign of multiplication."""
    return BY.join(map(str, sides))


def duration(seconds: float) -> str:
    """Seconds as `8.2 s`, `64 s`, `12 min`, `1.5 h`."""
    if seconds < 9.95:
        return f"{seconds:.2g}{SPACE}s"
    if seconds < 120:
        return f"{seconds:.0f}{SPACE}s"
    if seconds < 7200:
        return f"{seconds / 60:.0f}{SPACE}min"
    return f"{seconds / 3600:.1f}{SPACE}h"
