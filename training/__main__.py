"""`python -m training`: every command of the offline side."""

from functools import partial

from training.system import check_system, without_packages

try:
    import typer
except ModuleNotFoundError as missing:
    raise SystemExit(without_packages(missing, "training")) from None

from training.commands import (
    baselines,
    compare,
    corrections,
    data,
    evaluate,
    export,
    fit,
    leaderboard,
    models,
    predict,
    report,
    retrain,
)
from training.commands.console import friendly_errors
from training.commands.options import settings
from training.commands.suggest import Command
from training.processors import keep_to_limit

app = typer.Typer(
    help="Train networks on handwritten digits, publish them as versions, compare them, choose which one is live.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def check_environment() -> None:
    """Ends every command with an error for a system that is not supported, and for wrong or misspelt settings."""
    with friendly_errors():
        check_system()
        settings()


command = partial(app.command, cls=Command)
command(epilog="Example:  python -m training fit lenet --quick --seed 1")(fit.fit)
command(epilog="Example:  python -m training evaluate lenet --version 3 --json")(evaluate.evaluate)
command(epilog="Example:  python -m training compare lenet:previous lenet:champion")(compare.compare)
command(epilog="Example:  python -m training retrain lenet --feedback sqlite:///feedback.sqlite3 --dry-run")(
    retrain.retrain
)
command(epilog="Example:  python -m training models --json")(models.models)
command(epilog="Example:  python -m training promote lenet 3 --why 'better on thin strokes'")(models.promote)
command(epilog="Example:  python -m training rollback lenet --why 'confuses 4 and 9'")(models.rollback)
command(epilog="Example:  python -m training prune lenet --keep 10 --dry-run")(models.prune)
command(epilog="Example:  python -m training changes lenet --json")(models.changes)
command(epilog="Example:  python -m training predict pictures.parquet answers.parquet")(predict.predict)
command(epilog="Example:  python -m training export lenet lenet.onnx")(export.export)
command(epilog="Example:  python -m training report report.html")(report.report)
command(epilog="Example:  python -m training leaderboard --json")(leaderboard.leaderboard)
command(epilog="Example:  python -m training baselines --json")(baselines.baselines)
app.add_typer(corrections.app)
app.add_typer(data.app)


def main(program: str = "digits-train") -> None:
    """Runs the command that the arguments of the process name."""
    keep_to_limit()
    app(prog_name=program)


if __name__ == "__main__":
    main("python -m training")
