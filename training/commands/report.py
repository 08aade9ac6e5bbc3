"""`python -m training report`: write the report on every champion."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import (
    BaselinesOption,
    DataOption,
    InkOption,
    ScaleOption,
    StoreOption,
    StrictOption,
    default_store,
    open_store,
    read_digits,
)

# JAX and matplotlib are imported inside the command, so that --help answers at once.


def report(
    out: Annotated[Path, typer.Argument(help="The .html to write; an older one is replaced.")] = Path("report.html"),
    store: StoreOption = "",
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    strict: StrictOption = False,
    baselines: BaselinesOption = False,
    photos: Annotated[
        bool, typer.Option("--photos", help="Also ten generated photos of each family, as the best champion sees them.")
    ] = False,
) -> None:
    """Write the report, one self-contained HTML file: data, training curves, scores and mistakes of every model."""
    if out.suffix.lower() != ".html":
        raise typer.BadParameter(f"{out.name} does not end in .html", param_hint="OUT")
    store = store or default_store()
    with friendly_errors(), stderr.status("reading digits") as status:
        from datetime import UTC, datetime

        from training import mnist
        from training.data.digits import DataError
        from training.data.replacing import replacing
        from training.fitting import provenance
        from training.report import board
        from training.report.champions import champions
        from training.report.page import Source, render

        if out.is_dir() or not out.parent.is_dir():
            raise DataError(f"{out}: want a file in a folder that exists")
        opened = open_store(store)
        if data:
            tested = seen = Source(read_digits(data, scale, ink, strict=strict, part="test"), str(data))
        else:
            tested = Source(mnist.test(), "the MNIST test images")
            seen = Source(mnist.train(), "the MNIST training images")

        def testing(what: str) -> None:
            status.update(f"testing {what}")

        found = champions(opened, tested.digits, watch=testing)
        rows = board.networks(opened, tested.digits, tested=found, watch=testing)
        if baselines:
            rows += board.baselines(tested.digits, watch=lambda name: status.update(f"fitting {name}"))
        shown = None
        if photos and found:
            from training.predictor import Predictor
            from training.report.photo_strips import Photos, photo_strips

            best = min(found, key=lambda champion: champion.metrics.error)
            predictor = Predictor.load(opened, best.name, best.version)
            shown = Photos(
                best.name,
                photo_strips(predictor, tested.digits, lambda title: status.update(f"photos: {title}")),
            )
        status.update("drawing")
        page = render(
            found,
            [opened.load(champion.name, champion.version)[1] for champion in found],
            rows,
            tested=tested,
            seen=seen,
            store=store,
            code=provenance.code(),
            now=datetime.now(UTC),
            photos=shown,
        )
        with replacing(out) as aside:
            aside.write_text(page, "utf-8")
    stdout.print(f"{out}: {len(found)} models, {out.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
