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
    """Returns a valid policy. Raises ValueError for an invalid one."""
    for term in _terms(policy):
        if not _TERM.fullmatch(term):
            raise ValueError(f"{term!r} names no version, want {WANTED}")
    return policy


def choose(
    policy: str, versions: Sequence[int], aliases: Mapping[str, int], refused: Collection[int] = ()
) -> list[int]:
    """The versions that a policy selects, ascending. An alias or number without a version selects nothing.

    `all` and `latest` skip the versions that the gate has `refused`; numbers and aliases select them.
    """
    selected: set[int] = set()
    passed = [version for version in versions if version not in refused]
    for term in _terms(policy):
        if term == ALL:
            selected.update(passed)
        elif term == LATEST:
            selected.update(passed[-1:])
        else:
            selected.add(int(term) if term.isdigit() else aliases.get(term, 0))
    return [version for version in versions if version in selected]


def wants_champion(policy: str) -> bool:
    """Whether a policy selects the version with the alias `champion`."""
    return not {ALL, CHAMPION}.isdisjoint(_terms(policy))


def _terms(policy: str) -> list[str]:
    return [term.strip() for term in policy.split(",")]
