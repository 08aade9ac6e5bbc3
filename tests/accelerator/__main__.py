"""`python -m tests.accelerator`: checks and measures training, predictor and engine on a GPU or a TPU."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from tests.accelerator import checks, figures
from training.commands.console import friendly_errors, stderr
from training.fitting import provenance

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog="Example:  python -m tests.accelerator --out h100.json")
def main(
    out: Annotated[Path, typer.Option(help="JSON file for figures and failures.")] = Path("accelerator.json"),
    only: Annotated[str, typer.Option(help="Parts whose name has this in it.")] = "",
    few: Annotated[
        bool, typer.Option("--few", help="Few digits and short recipes: tries the script itself, also on a CPU.")
    ] = False,
) -> None:
    """Check and measure training, checkpoints, predictor and engine on the accelerator of this machine.

    Takes at most 8 minutes on one GPU. Exit code 1: a check failed; the file says which. It wants JAX with its plugin
    for the device, Flax, Optax, Orbax, and what tests/accelerator/wheels.txt lists; nothing is downloaded.
    """
    with friendly_errors():
        parts: dict[str, Callable[[bool], dict[str, Any]]] = {
            "losses beside the CPU's": checks.losses,
            "resumed run": checks.resumed,
            "checkpoints between devices": checks.checkpoints,
            "recipes": figures.recipes,
            "epochs": figures.epochs,
            "predictor": figures.predictor,
            "engine": figures.engine,
        }
        found: dict[str, Any] = {"device": provenance.device(), "libraries": provenance.libraries(), "few": few}
        failures = []
        for name, part in ((name, part) for name, part in parts.items() if only in name):
            began = time.perf_counter()
            try:
                found[name] = part(few)
            except Exception as error:  # the other parts are run all the same: the device may be lent for minutes
                failures.append(f"{name}: {error}")
            stderr.print(f"{name}: {time.perf_counter() - began:.0f} s")
            out.write_bytes(msgspec.json.format(msgspec.json.encode({**found, "failures": failures})))
        for failure in failures:
            stderr.print(failure, style="red", markup=False)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    app()
