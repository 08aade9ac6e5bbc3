"""What the gate asks of a challenger."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Limits of the gate. Shares are 0…1; the defaults were measured on `lenet` (LOG.md)."""

    model_config = ConfigDict(frozen=True)

    alpha: float = Field(0.05, gt=0, le=0.5, description="How probable each of the gate's tests may err, 0…1")
    margin: float = Field(
        0.003,
        gt=0,
        lt=1,
        description="So much higher, as a share, the challenger's error on held-out digits may not be",
    )
    corrections_wanted: int = Field(
        50, ge=1, description="With fewer held-out corrections than that nothing is decided: the champion is kept"
    )
    unlearned: float = Field(
        0.1,
        gt=0,
        le=1,
        description="The challenger must be shown to contradict a smaller share of held-out corrections than that",
    )
    sure: float = Field(
        0.99, gt=0, le=1, description="From this confidence on, corrections that contradict the champion are suspect"
    )
    contradicted: float = Field(
        0.05, ge=0, le=1, description="At most this share of the corrections that it is so sure of may contradict it"
    )
    calibration_margin: float = Field(
        0.01, ge=0, le=1, description="So much higher the challenger's expected calibration error may be, 0…1"
    )
    latency_ratio: float = Field(
        2.0, ge=1, description="So many times the champion's p99 latency the challenger's may be, for one picture"
    )
