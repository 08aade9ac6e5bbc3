"""Settings of the store, read from the environment: where versions and corrections are, which model is the default."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

FEEDBACK = "feedback.sqlite3"
PREFIX = "DIGITS_"
GATE_PREFIX = "DIGITS_GATE_"
"""Of the settings of the gate, which check their names themselves."""
OTHERS = ("OPERATOR",)
"""Variables with PREFIX that are fields of no settings."""
MISSPELT = 0.75
"""Similarity, from 0 to 1, from which on an unknown name is taken for a known one misspelt."""


def unknown_variables(known: Iterable[str], prefix: str = PREFIX) -> dict[str, str | None]:
    """The variables of the environment with a prefix and none of the `known` names behind it.

    For each of them the variable that it is a misspelling of, or None.
    """
    names = [name.upper() for name in known]
    found: dict[str, str | None] = {}
    for variable in map(str.upper, os.environ):
        name = variable.removeprefix(prefix)
        if variable.startswith(prefix) and name not in names and not (prefix == PREFIX and is_of_gate(variable)):
            near = get_close_matches(name, names, 1, MISSPELT)
            found[variable] = prefix + near[0] if near else None
    return found


def is_of_gate(variable: str) -> bool:
    """Whether a variable is one of the settings of the gate."""
    return variable.startswith(GATE_PREFIX)


def check_variables(known: Iterable[str], prefix: str = PREFIX) -> None:
    """Raises ValueError for a variable of the environment that is the name of a setting misspelt."""
    for variable, near in unknown_variables(known, prefix).items():
        if near:
            raise ValueError(f"{variable} is no setting, want {near}")


class StoreSettings(BaseSettings):
    """Where the store and the corrections are: `DIGITS_STORE`, `DIGITS_CACHE`, `DIGITS_FEEDBACK_URL` and others."""

    model_config = SettingsConfigDict(env_prefix="DIGITS_")

    store: str = Field(
        "./checkpoints",
        min_length=1,
        description="Checkpoint store: a folder, or a URL of object storage: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or "
        "az://CONTAINER/PREFIX",
    )
    cache: Path | None = Field(
        None,
        description="Folder that files of a store in object storage are kept in; by default the folder `digits` in the "
        "user's cache directory",
    )
    cache_limit_bytes: int = Field(
        2 * 2**30,
        ge=0,
        description="Maximum size of these files in bytes; those that were used least recently are removed",
    )
    model: str = Field(
        "lenet", min_length=1, description="Default model: the one that answers when a request or a command names none"
    )
    feedback_url: str | None = Field(
        None,
        repr=False,  # it may have a password
        description="URL of the database of corrections: sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE "
        "where several machines serve; by default the file feedback.sqlite3 in the store's folder; an empty URL turns "
        "corrections off",
    )

    @model_validator(mode="after")
    def _no_name_is_misspelt(self) -> Self:
        check_variables([*type(self).model_fields, *OTHERS])
        return self

    @property
    def corrections_url(self) -> str:
        """The URL of the database of corrections; empty without one, the default of a store that is not a folder."""
        if self.feedback_url is not None:
            return self.feedback_url
        return "" if "://" in self.store else f"sqlite:///{Path(self.store).expanduser().absolute()}/{FEEDBACK}"
