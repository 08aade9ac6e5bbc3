"""Pydantic schemas of `/feedback` for the OpenAPI page and for tests."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from service.feedback.request import INDEX_LIMIT
from service.protocols.native.schemas import OnePicture, Pixels
from training.images import CLASSES
from training.store import NAME, VERSION_LIMIT

RightDigit: TypeAlias = Annotated[int, Field(ge=0, lt=CLASSES, description="The digit that the picture shows")]


class PictureCorrection(OnePicture):
    """The right digit of a picture, and what was said of it if that is known."""

    digit: RightDigit
    model: Annotated[str | None, Field(description="The model that was wrong", pattern=f"^{NAME}$")] = None
    version: Annotated[int | None, Field(ge=1, le=VERSION_LIMIT, description="Its version")] = None
    predicted: Annotated[int | None, Field(ge=0, lt=CLASSES, description="What it took the picture for")] = None


class PredictionCorrection(BaseModel):
    """The right digit of a picture that has been sent to `/predict`."""

    model_config = ConfigDict(extra="forbid")

    prediction: Annotated[str, Field(description="The `X-Prediction-Id` of the answer")]
    index: Annotated[
        int, Field(ge=0, le=INDEX_LIMIT, description="Which one of its pictures, from 0; the first one without it")
    ] = 0
    digit: RightDigit


class KeptCorrection(BaseModel):
    """A correction was kept, or had been kept before."""

    id: int
    new: Annotated[bool, Field(description="Whether it was not there before")]


class DeletedCorrection(BaseModel):
    """A correction was deleted."""

    id: int
    deleted: Literal[True]


class StoredCorrection(BaseModel):
    """A correction as it is kept."""

    id: int
    received: Annotated[datetime.datetime, Field(description="When, in UTC")]
    client_key: Annotated[str | None, Field(description="The `Idempotency-Key` that it came with")]
    model: str | None
    version: int | None
    predicted: int | None
    digit: RightDigit
    pixels: Annotated[Pixels, Field(description="Row by row, 255 is full ink")]


class CorrectionsPage(BaseModel):
    """Corrections, ascending by id."""

    corrections: list[StoredCorrection]
    next: Annotated[int | None, Field(description="The `after` of the next page; null when this is the last one")]
