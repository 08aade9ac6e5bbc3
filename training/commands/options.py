"""Options that several commands share."""

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import Unread, friendly_errors, stderr
from training.errors import DigitsError
from training.settings import PREFIX, StoreSettings

if TYPE_CHECKING:
    from training.corrections import Correction
    from training.data.digits import Digits
    from training.data.npz import Part
    from training.store import Store


class Ink(StrEnum):
    """The colour of the strokes in a user's own digits."""

    WHITE = "white"
    BLACK = "black"


DEFAULT_MODEL: str = StoreSettings.model_fields["model"].default
"""The default model where DIGITS_MODEL is not set."""
ModelArgument = Annotated[
    str,
    typer.Argument(help=f"A model's name.  \\[default: DIGITS_MODEL, or else {DEFAULT_MODEL}]", show_default=False),
]
StoreOption = Annotated[
    str,
    typer.Option(
        help="Checkpoint store: a folder, or s3://…, gs://…, az://…  \\[default: DIGITS_STORE]", show_default=False
    ),
]
VersionOption = Annotated[str, typer.Option(help="A version's number, or an alias.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite OUT if it exists.")]
ScaleOption = Annotated[float, typer.Option(help="Own digits: the number that means full ink; 1 if pixels run 0…1.")]
InkOption = Annotated[
    Ink | None,
    typer.Option(
        help="Own digits: the colour of the strokes; black if 0 is ink. By default white for numbers; in a folder of "
        "pictures, the border of each is paper.",
        show_default=False,
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Own digits: a picture that cannot be read is an error, and not left out.")
]
FeedbackOption = Annotated[
    str, typer.Option(help="The database of corrections.  \\[default: DIGITS_FEEDBACK_URL]", show_default=False)
]
BaselinesOption = Annotated[
    bool, typer.Option("--baselines", help="Also fit and test scikit-learn's models; takes some minutes.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Your own digits instead of MNIST: IDX, CSV, Parquet, .npz, or a folder of pictures per class.",
        show_default=False,
    ),
]


def default_model() -> str:
    """The default model (DIGITS_MODEL)."""
    return settings().model


def default_store() -> str:
    """The path or the URL of the default store (DIGITS_STORE)."""
    return settings().store


def settings() -> StoreSettings:
    """The settings of the environment. Raises DigitsError for a wrong one, and for a misspelt name."""
    from pydantic import ValidationError

    try:
        return StoreSettings()
    except ValidationError as error:
        wrong = error.errors()[0]
        message = wrong["msg"].removeprefix("Value error, ")
        if wrong["loc"]:
            message = f"{PREFIX}{wrong['loc'][0]}".upper() + f" is {wrong['input']!r}: {message}"
        raise DigitsError(message) from None


def open_store(path: str) -> "Store":
    """The store at a path or a URL. Raises StoreError for a URL of another kind."""
    from training.store import Store

    return Store.of(StoreSettings(store=path))


def read_digits(path: Path, scale: float, ink: Ink | None, *, strict: bool, part: "Part" = "train") -> "Digits":
    """A user's own digits; the colour of their strokes, and pictures that cannot be read, are told on stderr."""
    from training.data.load import load

    def tell(text: str) -> None:
        stderr.print(text, markup=False, highlight=False, soft_wrap=True)

    skip = Unread("pictures")
    digits = load(
        path, scale=scale, ink=ink.value if ink else None, part=part, tell=tell, skip=None if strict else skip
    )
    skip.rest()
    return digits


def default_feedback(store: str) -> str:
    """The database that a service with this store writes to; empty if it does not exist yet."""
    from training.corrections import Corrections

    url = StoreSettings(store=store).corrections_url
    return url if url and Corrections(url).exist else ""


def read_corrections(url: str) -> "list[Correction]":
    """All corrections in a database, ascending by id. Raises DigitsError where there is none."""
    from training.corrections import Corrections

    with closing(Corrections(url)) as kept:
        if not kept.exist:
            raise DigitsError(f"there is no database of corrections at {url}")
        return kept.all()


def check_out(out: Path, *, force: bool) -> None:
    """Ends the command with an error for an output path that cannot be written, before anything slow is done."""
    from training.data.digits import DataError

    with friendly_errors():
        if out.is_dir() or not out.parent.is_dir():
            raise DataError(f"{out}: want a file in a folder that exists")
        if out.exists() and not force:
            raise DataError(f"{out}: exists already; --force overwrites it")
