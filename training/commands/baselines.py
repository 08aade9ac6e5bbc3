"""`python -m training baselines`: fit scikit-learn's models to MNIST and score them."""

from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import JsonOption

# scikit-learn is imported inside the command, so that --help answers at once.
if TYPE_CHECKING:
    from training.evaluation.baselines import Baseline


def baselines(
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed: the same forest.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Fit logistic regression and a random forest to MNIST, in some minutes, and measure both on the validation split.

    The test images are not read: the hyperparameters of these models were chosen on the same validation split.
    """
    with friendly_errors():
        import msgspec
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from training import mnist
        from training.data.split import split
        from training.evaluation.baselines import CHOSEN, fit_baselines

        training, validation = split(mnist.train())
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=stderr, transient=True) as progress:
            task = progress.add_task("", total=len(CHOSEN))

            def watch(name: str) -> None:
                progress.update(task, description=f"fitting [bold]{_words(name)}[/]")

            found: list[Baseline] = []
            for baseline in fit_baselines(training, validation, seed=seed, chosen=CHOSEN, watch=watch):
                found.append(baseline)
                progress.advance(task)
    if as_json:
        answer = [
            {
                "model": each.name,
                "parameters": each.parameters,
                "seed": seed,
                "fit_seconds": each.fit_seconds,
                "weights": each.weights,
                "validation": each.validation,
            }
            for each in found
        ]
        typer.echo(msgspec.json.encode(answer))
        return
    from rich.table import Table

    table = Table("model", "validation error", "log-loss", "weights", "seconds", "chosen", box=None, pad_edge=False)
    for each in found:
        low, high = each.validation.interval
        table.add_row(
            _words(each.name),
            f"{each.validation.error:.2%} ({100 * low:.2f}-{100 * high:.2f})",
            f"{each.validation.log_loss:.4f}",
            f"{each.weights:,}" if each.weights else "",
            f"{each.fit_seconds:.0f}",
            ", ".join(f"{name} {value}" for name, value in each.parameters.items()),
        )
    stdout.print(table)


def _words(name: str) -> str:
    return name.replace("_", " ")
