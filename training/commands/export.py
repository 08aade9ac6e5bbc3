"""`python -m training export`: write a version as one file that runs without this package, StableHLO or ONNX."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import (
    ForceOption,
    JsonOption,
    StoreOption,
    VersionOption,
    check_out,
    default_store,
    open_store,
)

# JAX and onnx are imported inside the command, so that --help answers at once.


class Format(StrEnum):
    """The form of an exported version, and the ending of its file."""

    STABLEHLO = "stablehlo"
    ONNX = "onnx"


def export(
    model: Annotated[str, typer.Argument(help="A model's name.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    form: Annotated[
        Format | None, typer.Option("--format", help="The form; that of OUT's ending by default.", show_default=False)
    ] = None,
    version: VersionOption = "champion",
    store: StoreOption = "",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a version as one file, from pixels 0…255 to probabilities and verdicts, that runs without this package.

    The file must answer the golden pictures as the version did when it was published; otherwise nothing is written.
    """
    chosen = form or _form(out)
    check_out(out, force=force)
    with friendly_errors(), stderr.status(f"exporting {model}"):
        from training.export.file import export as write

        number = write(open_store(store or default_store()), model, version, chosen.value, out)
    if as_json:
        found = {"model": model, "version": number, "format": chosen.value, "bytes": out.stat().st_size}
        typer.echo(json.dumps(found))
        return
    stdout.print(
        f"{out}: {model} version {number} as {chosen.value}, {out.stat().st_size / 1e6:.1f} MB, answers the golden "
        "pictures as published",
        soft_wrap=True,
        markup=False,
    )


def _form(out: Path) -> Format:
    """The form by the ending of a name."""
    try:
        return Format(out.suffix.lower().removeprefix("."))
    except ValueError:
        raise typer.BadParameter(
            f"the ending of {out.name} is not .stablehlo or .onnx; say which", param_hint="--format"
        ) from None
