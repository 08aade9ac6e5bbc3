"""The version policy: which versions of a model are loaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from training.store import CHAMPION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

ALL, LATEST = "all", "latest"
WANTED: Final = "all, latest, aliases such as champion, or numbers, with commas between"
_TERM: Final = re.compile(r"[a-z][a-z_-]*|[1-9][0-9]*")


def check_policy(policy: str) -> str:
    """The policy. Raises ValueError for what is none."""
    for term in _terms(policy):
        if not _TERM.fullmatch(term):
            raise ValueError(f"{term!r} names no version, want {WANTED}")
    return policy


def choose(
    policy: str, versions: Sequence[int], aliases: Mapping[str, int], refused: Collection[int] = ()
) -> list[int]:
    """Those of the versions, ascending, that a policy means. A name that stands for none of them means nothing.

    Versions that the gate has `refused` are meant by their numbers and aliases alone.
    """
    meant: set[int] = set()
    passed = [version for version in versions if version not in refused]
    for term in _terms(policy):
        if term == ALL:
            meant.update(passed)
        elif term == LATEST:
            meant.update(passed[-1:])
        else:
            meant.add(int(term) if term.isdigit() else aliases.get(term, 0))
    return [version for version in versions if version in meant]


def wants_champion(policy: str) -> bool:
    """Whether a policy means the champion, whichever version that is."""
    return not {ALL, CHAMPION}.isdisjoint(_terms(policy))


def _terms(policy: str) -> list[str]:
    return [term.strip() for term in policy.split(",")]
