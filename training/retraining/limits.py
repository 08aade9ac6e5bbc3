"""The limits of the gate."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """What the gate asks of a challenger. The defaults were measured on `lenet` (LOG.md)."""

    model_config = ConfigDict(frozen=True)

    alpha: float = Field(
        0.05, gt=0, le=0.5, description="Significance level of each statistical test of the gate, from 0 to 1"
    )
    margin: float = Field(
        0.003,
        gt=0,
        lt=1,
        description="Non-inferiority margin: the challenger must be shown to raise the error rate on held-out digits, "
        "from 0 to 1, by less than this",
    )
    corrections_wanted: int = Field(
        50,
        ge=1,
        description="Minimum number of held-out corrections; with fewer, nothing is trained and the champion is kept",
    )
    unlearned: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Share of held-out corrections that contradict the challenger, from 0 to 1: its upper confidence "
        "bound must be below this",
    )
    sure: float = Field(
        0.99, gt=0, le=1, description="Confidence, from 0 to 1, from which on the champion counts as sure of an answer"
    )
    contradicted: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Maximum share of corrections that contradict the champion, from 0 to 1, among the held-out "
        "corrections on which the champion is sure; with a larger share the champion is kept",
    )
    calibration_margin: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Maximum increase of the expected calibration error from champion to challenger, from 0 to 1",
    )
    latency_ratio: float = Field(
        2.0, ge=1, description="Maximum ratio of the challenger's p99 latency for one picture to the champion's"
    )
