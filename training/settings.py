"""Settings of the store, read from the environment: where versions and corrections are, which model is the default."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

FEEDBACK = "feedback.sqlite3"


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

    @property
    def corrections_url(self) -> str:
        """The URL of the database of corrections; empty without one, the default of a store that is not a folder."""
        if self.feedback_url is not None:
            return self.feedback_url
        return "" if "://" in self.store else f"sqlite:///{Path(self.store).expanduser().absolute()}/{FEEDBACK}"
