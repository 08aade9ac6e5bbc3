"""The query parameters of `POST /predict`: model, version, fields, coverage, scale, ink, read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from service.errors import WrongValue, shortened
from service.protocols.json_pictures import SCALES
from training.answers import LOWEST_COVERAGE
from training.images import FULL_INK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from training.picture import Ink

Read = Literal["digit", "line"]
Choice = TypeVar("Choice", bound=str)

DEFAULT_FIELDS: Final = ("digit", "confidence", "probabilities", "accepted", "reason")
"""Fields of a prediction by default, without the parameter `fields`."""
SET: Final = "prediction_set"
FIELDS: Final = (*DEFAULT_FIELDS, SET, "pixels")
COVERAGE: Final = 0.99
"""Default coverage of prediction sets."""
INKS: Final[tuple[Ink, ...]] = ("black", "white")
READS: Final[tuple[Read, ...]] = ("digit", "line")
PARAMETERS: Final = {
    "model": ("The model that is to answer; without it, the default one", "the name of a model"),
    "version": (
        "Its version, as a number or an alias such as `champion`; without it, the champion",
        "a number or an alias such as champion",
    ),
    "fields": (
        "What predictions in JSON have, of `digit`, `confidence`, `probabilities`, `accepted`, `reason`, "
        "`prediction_set`, `pixels`, with commas between; by default all but the last two. The pixels are the 784 that "
        "the model saw, 0 to 255. Without one of the first five, an answer is not of the schema that is described here",
        f"some of {', '.join(FIELDS)}, with commas between",
    ),
    "coverage": (
        "Predictions also have a `prediction_set`, which holds the right digit with this probability; with such a "
        "field and without this, 0.99. Only with answers in JSON",
        f"a number from {LOWEST_COVERAGE:g} to below 1",
    ),
    "scale": (
        "For an array: the value that means full ink, 255 without it. JSON has a field of that name",
        f"a number from {SCALES[0]:g} to {SCALES[1]:g}",
    ),
    "ink": (
        "For an image file: the colour of the strokes, `black` or `white`. Without it, both are tried",
        "black or white",
    ),
    "read": (
        "For an image file: `digit`, the one digit that it shows, or `line`, all digits on a line from left to right. "
        "By default the one digit",
        "digit or line",
    ),
}
"""Parameter -> its description in OpenAPI, and its allowed values for errors."""


class Query(NamedTuple):
    """The query parameters of a request; None where a parameter is missing."""

    model: str | None = None
    version: str | None = None
    fields: tuple[str, ...] = DEFAULT_FIELDS
    scale: float | None = None
    coverage: float | None = None
    ink: Ink | None = None
    read: Read | None = None

    @property
    def full_ink(self) -> float:
        """The pixel value of full ink, by default 255."""
        return FULL_INK if self.scale is None else self.scale

    @property
    def set_coverage(self) -> float | None:
        """The coverage of prediction sets, or None without the field `prediction_set`."""
        return (self.coverage or COVERAGE) if SET in self.fields else None


EMPTY: Final = Query()


def parse_query(query: bytes) -> Query:
    """Parses the query string of a URL. Raises WrongValue."""
    if not query:
        return EMPTY
    given = parameters(query, PARAMETERS)
    fields = _fields(given["fields"]) if "fields" in given else DEFAULT_FIELDS
    coverage = _coverage(given["coverage"]) if "coverage" in given else None
    if coverage and SET not in fields:
        fields = (*fields, SET)
    return Query(
        given.get("model"),
        given.get("version"),
        fields,
        _scale(given["scale"]) if "scale" in given else None,
        coverage,
        _one_of(INKS, "ink", given["ink"]) if "ink" in given else None,
        _one_of(READS, "read", given["read"]) if "read" in given else None,
    )


def parameters(query: bytes, known: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Parses a query string; `known` is like PARAMETERS. Raises WrongValue for unknown, repeated, or empty ones."""
    given: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        field = shortened(name)
        if name not in known:
            wanted = ", ".join(known)
            message = f"query parameter {field!r} is not known here, want one of {wanted}"
            raise WrongValue("unknown_parameter", message, field=field, found=field, wanted=wanted)
        wanted = known[name][1]
        if name in given:
            message = f"query parameter {name} is given twice, want it once"
            raise WrongValue("repeated_parameter", message, field=name, found="two values", wanted="one value")
        if not value:
            message = f"query parameter {name} is empty, want {wanted}"
            raise WrongValue("empty_parameter", message, field=name, found="nothing", wanted=wanted)
        given[name] = value
    return given


def wrong_parameter(code: str, name: str, value: str, wanted: str) -> WrongValue:
    """The error for a wrong value of a query parameter."""
    found = shortened(value)
    message = f"query parameter {name} has {found!r}, want {wanted}"
    return WrongValue(code, message, field=name, found=found, wanted=wanted)


def _fields(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FIELDS:
            raise wrong_parameter("unknown_field", "fields", name, PARAMETERS["fields"][1])
    return tuple(name for name in FIELDS if name in names)


def _scale(text: str) -> float:
    value = _number("scale", text)
    if not SCALES[0] <= value <= SCALES[1]:
        raise wrong_parameter("out_of_range", "scale", text, PARAMETERS["scale"][1])
    return value


def _coverage(text: str) -> float:
    value = _number("coverage", text)
    if not LOWEST_COVERAGE <= value < 1:
        raise wrong_parameter("out_of_range", "coverage", text, PARAMETERS["coverage"][1])
    return value


def _one_of(choices: Sequence[Choice], name: str, text: str) -> Choice:
    for choice in choices:
        if text == choice:
            return choice
    raise wrong_parameter("wrong_type", name, text, PARAMETERS[name][1])


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise wrong_parameter("wrong_type", name, text, PARAMETERS[name][1]) from None
