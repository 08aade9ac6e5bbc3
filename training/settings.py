"""Settings: where the store is, which model is meant when none is named, and what the gate asks of a challenger."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from training.limits import Limits


class StoreSettings(BaseSettings):
    """Read from the environment: `DIGITS_STORE`, `DIGITS_MODEL`."""

    model_config = SettingsConfigDict(env_prefix="DIGITS_")

    store: str = Field(
        "./checkpoints", min_length=1, description="The checkpoint store: a folder, or any path that epath can open"
    )
    model: str = Field("lenet", min_length=1, description="The model meant when a request or a command names none")


class GateSettings(BaseSettings, Limits):
    """The gate's limits, read from the environment: `DIGITS_GATE_MARGIN`, `DIGITS_GATE_ALPHA` and so on."""

    model_config = SettingsConfigDict(env_prefix="DIGITS_GATE_")
