"""Settings of the gate, read from the environment."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from training.retraining.limits import Limits
from training.settings import GATE_PREFIX, unknown_variables


class GateSettings(BaseSettings, Limits):
    """The gate's limits, read from the environment: `DIGITS_GATE_MARGIN`, `DIGITS_GATE_ALPHA` and so on."""

    model_config = SettingsConfigDict(env_prefix=GATE_PREFIX)

    @model_validator(mode="after")
    def _every_name_is_known(self) -> Self:
        names = type(self).model_fields
        for variable, near in unknown_variables(names, GATE_PREFIX).items():
            wanted = near or ", ".join(GATE_PREFIX + name.upper() for name in names)
            raise ValueError(f"{variable} is no setting of the gate, want {wanted}")
        return self
