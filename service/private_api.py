"""Checks at import that a library still has the private members that this service uses."""

from __future__ import annotations

import dis
from importlib.metadata import version
from types import FunctionType


def require_members(distribution: str, supported: str, owner: type, *names: str) -> None:
    """Raises ImportError if a class of a library does not have all these members.

    `supported` are the versions of the distribution that are known to have it, as in pyproject.toml: ">=0.54,<0.55".
    An attribute that a method of the class sets is a member, too.
    """
    missing = {name for name in names if not hasattr(owner, name)}
    methods = [method for base in owner.__mro__ for method in vars(base).values() if isinstance(method, FunctionType)]
    for method in methods:
        if not missing.isdisjoint(method.__code__.co_names):  # much faster than to read its instructions
            missing -= {step.argval for step in dis.get_instructions(method) if step.opname == "STORE_ATTR"}
    if missing:
        found = f"{distribution} {version(distribution)} has no {owner.__name__}.{', '.join(sorted(missing))}"
        raise ImportError(f"{found}, want {distribution} {supported}")
