"""Settings of the gate, read from the environment."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

from training.retraining.limits import Limits


class GateSettings(BaseSettings, Limits):
    """The gate's limits, read from the environment: `DIGITS_GATE_MARGIN`, `DIGITS_GATE_ALPHA` and so on."""

    model_config = SettingsConfigDict(env_prefix="DIGITS_GATE_")
