"""Pydantic schemas of `/predict` for the OpenAPI page and for tests; the route itself does not use them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from training.images import CLASSES, PIXELS, SIDE

Pixel: TypeAlias = Annotated[float, Field(ge=0)]
Flat: TypeAlias = Annotated[list[Pixel], Field(min_length=PIXELS, max_length=PIXELS, title="784 numbers, row by row")]
Line: TypeAlias = Annotated[list[Pixel], Field(min_length=SIDE, max_length=SIDE)]
Nested: TypeAlias = Annotated[list[Line], Field(min_length=SIDE, max_length=SIDE, title="28 rows of 28 numbers")]
Channels: TypeAlias = Annotated[
    list[
        Annotated[
            list[Annotated[list[Pixel], Field(min_length=1, max_length=1)]], Field(min_length=SIDE, max_length=SIDE)
        ]
    ],
    Field(min_length=SIDE, max_length=SIDE, title="28 rows of 28 lists of one number"),
]
Picture: TypeAlias = Flat | Nested | Channels
Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Scale: TypeAlias = Annotated[
    float, Field(ge=1e-300, le=1e300, description="The value that means full ink, 255 without it; 0 is background")
]


class OnePicture(BaseModel):
    """A question about one picture."""

    model_config = ConfigDict(extra="forbid")

    pixels: Picture
    scale: Scale = 255


class ManyPictures(BaseModel):
    """A question about a list of pictures."""

    model_config = ConfigDict(extra="forbid")

    instances: Annotated[list[Picture], Field(min_length=1)]
    scale: Scale = 255


class PictureFiles(BaseModel):
    """A form with image files, one or several; its fields may have any names."""

    file: Annotated[list[bytes], Field(min_length=1, description="Image files; one answer for each")]


Pixels: TypeAlias = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=PIXELS, max_length=PIXELS)]


class ModelName(BaseModel):
    """Who answered: `GET /models/{name}/versions/{version}` has its card."""

    name: str
    version: int


class Prediction(BaseModel):
    """What one picture shows: the fields that there are unless `?fields=` chooses others."""

    model_config = ConfigDict(extra="forbid")

    digit: Annotated[int, Field(ge=0, lt=CLASSES)]
    confidence: Annotated[Probability, Field(description="The probability of the digit")]
    probabilities: Annotated[
        list[Probability], Field(min_length=CLASSES, max_length=CLASSES, description="One for each digit, 0 to 9")
    ]
    accepted: Annotated[
        bool | None, Field(description="Whether the answer can be acted on; null where the version's card says nothing")
    ]
    reason: Annotated[
        Literal["uncertain", "not_a_digit", "unclear_picture", "several_digits"] | None,
        Field(description="Why it is not accepted; null if it is. The last two are about image files"),
    ]
    prediction_set: list[Annotated[int, Field(ge=0, lt=CLASSES)]] | None = Field(
        None,
        min_length=1,
        description="Digits, ascending, with the right one among them; only if asked for, and null where the version's "
        "card says nothing",
    )
    pixels: Pixels | SkipJsonSchema[None] = Field(None, description="The 784 numbers that the model saw; if asked for")
    digits_seen: int | SkipJsonSchema[None] = Field(
        None, ge=2, description="Number of digits in an image file; only where there are several"
    )


class FrameWarning(BaseModel):
    """What looks wrong with pictures in an array, whose answers are not accepted."""

    code: Literal["channels", "scale", "polarity", "not_centred"]
    message: Annotated[str, Field(description="What was found, and what to send instead")]
    pictures: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, description="Which pictures, from 0")]


Warnings: TypeAlias = Annotated[list[FrameWarning], Field(description="One for each code; only where there are some")]


class OneAnswer(Prediction):
    """The answer to `pixels`."""

    model: ModelName
    warnings: Warnings = []


class Box(BaseModel):
    """Where a digit is, as shares of the upright picture's width and height."""

    left: Probability
    top: Probability
    width: Probability
    height: Probability


class DigitOnLine(Prediction):
    """One of the digits on a line."""

    box: Box


class LineAnswer(BaseModel):
    """The answer to an image file with `?read=line`: its digits from left to right."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(description="The digits")]
    predictions: list[DigitOnLine]
    model: ModelName


class ManyAnswers(BaseModel):
    """The answer to `instances`, in the same order."""

    model_config = ConfigDict(extra="forbid")

    predictions: list[Prediction]
    model: ModelName
    warnings: Warnings = []
