"""`python -m training evaluate`: how good a version is, on digits it has never seen."""

from typing import TYPE_CHECKING

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import (
    DataOption,
    Ink,
    InkOption,
    JsonOption,
    ModelArgument,
    ScaleOption,
    StoreOption,
    VersionOption,
    default_model,
    default_store,
    open_store,
    read_digits,
)

# JAX is imported inside the command, so that --help answers at once.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table


def evaluate(
    model: ModelArgument = "",
    version: VersionOption = "champion",
    store: StoreOption = "",
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = Ink.WHITE,
    as_json: JsonOption = False,
) -> None:
    """Score a version on the 10,000 test images of MNIST, or on your own digits, through the code that serves it."""
    model = model or default_model()
    with friendly_errors():
        import msgspec
        from rich.progress import Progress

        from training import mnist
        from training.evaluate import confusion, predict, score
        from training.predictor import Predictor

        predictor = Predictor.load(open_store(store or default_store()), model, version)
        digits = read_digits(data, scale, ink) if data else mnist.test()
        with Progress(console=stderr, transient=True) as progress:
            task = progress.add_task("evaluating", total=len(digits))
            probabilities = predict(predictor, digits, watch=lambda rows: progress.advance(task, rows))
    metrics = score(probabilities, digits.labels)
    if as_json:
        answer = {"model": model, "version": predictor.version, **msgspec.to_builtins(metrics)}
        typer.echo(msgspec.json.encode(answer))
        return
    low, high = metrics.interval
    stdout.print(
        f"[bold]{model}[/] version [bold]{predictor.version}[/] on {data or 'the MNIST test images'}: "
        f"{metrics.errors:,} of {metrics.images:,} wrong, error {metrics.error:.2%} "
        f"(95 %: {low:.2%} to {high:.2%}), log-loss {metrics.log_loss:.4f}",
        soft_wrap=True,
    )
    stdout.print(_confusion_table(confusion(probabilities, digits.labels)))


def _confusion_table(counts: "NDArray[np.int64]") -> "Table":
    from rich.table import Table

    table = Table("digit", *map(str, range(len(counts))), title="how often the digit of a row was read as", box=None)
    for digit, row in enumerate(counts):
        cells = (
            "[dim]·[/]" if n == 0 else f"[dim]{n}[/]" if read == digit else f"[bold]{n}[/]"
            for read, n in enumerate(row)
        )
        table.add_row(str(digit), *cells)
    return table
