"""Settings of the store, read from the environment: where versions and corrections are, which model is the default."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

FEEDBACK = "feedback.sqlite3"


class StoreSettings(BaseSettings):
    """Read from the environment: `DIGITS_STORE`, `DIGITS_MODEL`, `DIGITS_FEEDBACK_URL`."""

    model_config = SettingsConfigDict(env_prefix="DIGITS_")

    store: str = Field(
        "./checkpoints", min_length=1, description="The checkpoint store: a folder, or any path that epath can open"
    )
    model: str = Field("lenet", min_length=1, description="The model meant when a request or a command names none")
    feedback_url: str | None = Field(
        None,
        repr=False,  # it may have a password
        description="The database of corrections: sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE where "
        "several machines serve; by default the file feedback.sqlite3 in the store's folder; empty for none",
    )

    @property
    def corrections_url(self) -> str:
        """The database of corrections; empty when none are taken, as by default in a store that is no folder."""
        if self.feedback_url is not None:
            return self.feedback_url
        return "" if "://" in self.store else f"sqlite:///{Path(self.store).expanduser().absolute()}/{FEEDBACK}"
