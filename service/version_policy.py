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
    selected = named(policy, aliases)
    passed = [version for version in versions if version not in refused]
    for term in _terms(policy):
        if term == ALL:
            selected.update(passed)
        elif term == LATEST:
            selected.update(passed[-1:])
    return [version for version in versions if version in selected]


def named(policy: str, aliases: Mapping[str, int]) -> set[int]:
    """The versions that the numbers and aliases of a policy stand for."""
    return {
        int(term) if term.isdigit() else aliases.get(term, 0) for term in _terms(policy) if term not in (ALL, LATEST)
    }


def wants_list(policy: str) -> bool:
    """Whether a policy selects versions that it does not name, so that all versions have to be listed."""
    return not {ALL, LATEST}.isdisjoint(_terms(policy))


def wants_champion(policy: str) -> bool:
    """Whether a policy selects the version with the alias `champion`."""
    return not {ALL, CHAMPION}.isdisjoint(_terms(policy))


def _terms(policy: str) -> list[str]:
    return [term.strip() for term in policy.split(",")]
