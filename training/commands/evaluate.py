"""`python -m training evaluate`: score a version on test digits, through the code that serves it."""

from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import (
    DataOption,
    InkOption,
    JsonOption,
    ModelArgument,
    ScaleOption,
    StoreOption,
    StrictOption,
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

    from training.evaluation.photo_errors import FamilyErrors
    from training.evaluation.trust import Figures


def evaluate(
    model: ModelArgument = "",
    version: VersionOption = "champion",
    store: StoreOption = "",
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    strict: StrictOption = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Also calibration, what is accepted, pictures of no digit, digits as pictures, and drift."
        ),
    ] = False,
    photos: Annotated[
        bool, typer.Option("--photos", help="Also generated photos of handwriting, and of no digit, by family.")
    ] = False,
    of_each: Annotated[int, typer.Option("--of-each", min=1, help="Number of photos of each family.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Score a version on the 10,000 test images of MNIST, or on your own digits, through the code that serves it."""
    model = model or default_model()
    with friendly_errors():
        import msgspec
        from rich.progress import Progress

        from training import mnist
        from training.evaluation.scores import confusion, predict, score
        from training.predictor import Predictor

        predictor = Predictor.load(open_store(store or default_store()), model, version)
        digits = read_digits(data, scale, ink, strict=strict, part="test") if data else mnist.test()
        with Progress(console=stderr, transient=True) as progress:
            task = progress.add_task("evaluating", total=len(digits))
            probabilities = predict(predictor, digits, watch=lambda rows: progress.advance(task, rows))
        figures = None
        if trust:
            from training.evaluation.trust import Measured, as_pictures

            with stderr.status("measuring what can be trusted (a minute)"):
                figures = Measured.of(predictor, digits, as_pictures(digits)).figures
        by_family = []
        if photos:
            from training.evaluation.photo_errors import errors_of
            from training.photos.families import TEST_FAMILIES

            with Progress(console=stderr, transient=True) as progress:
                task = progress.add_task("photos", total=of_each * len(TEST_FAMILIES))
                by_family = errors_of(
                    predictor, digits, of_each, lambda title: progress.update(task, advance=1, description=title)
                )
    metrics = score(probabilities, digits.labels)
    if as_json:
        answer = {"model": model, "version": predictor.version, **msgspec.to_builtins(metrics)}
        if figures:
            answer["trust"] = figures
        if by_family:
            answer["photos"] = by_family
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
    if figures and (said := predictor.card.trust):
        rejection = said.rejection
        stdout.print()
        stdout.print(
            f"expected calibration error {figures.calibration_error:.2%} (15 bins of equally many answers)\n"
            f"risk asked for {rejection.risk:.2%} of accepted answers: "
            f"{'guaranteed' if rejection.guaranteed else '[bold]not guaranteed[/]'} by {rejection.held_out:,} held-out "
            f"digits, of which {rejection.accepted:.2%} are accepted, {rejection.errors} of them wrongly",
            soft_wrap=True,
        )
        stdout.print(*_trust_tables(figures), sep="\n")
    if by_family:
        stdout.print(_photo_table(by_family))


def _trust_tables(figures: "Figures") -> "list[Table | str]":
    from rich.table import Table

    accepted = figures.accepted
    words = (
        f"accepted {accepted.share:.2%} of {figures.images:,}: {accepted.errors} of {accepted.answers:,} wrong, risk "
        f"{accepted.risk:.3%}, 95 % sure at most {accepted.risk_at_most:.3%}; uncertain {accepted.uncertain:.2%}, not "
        f"a digit {accepted.not_a_digit:.2%}"
    )
    sets = Table("coverage", "found", "digits in a set", title="prediction sets", box=None)
    for asked in figures.sets:
        sets.add_row(f"{asked.wanted:.1%}", f"{asked.found:.2%}", f"{asked.digits:.3f}")
    families = Table("no digits", "pictures", "AUROC", "refused", "accepted", title="not a digit", box=None)
    for family in figures.families:
        shares = (f"{family.refused:.1%}", f"{family.accepted:.1%}")
        families.add_row(family.name, f"{family.images:,}", f"{family.auroc:.4f}", *shares)
    families.add_row("mean", "", f"{figures.mean_auroc:.4f}", "", "")
    pictures = Table("digits as PNG", "pictures", "wrong", "error", title="pictures", box=None)
    for of in figures.pictures:
        pictures.add_row(of.name, f"{of.images:,}", f"{of.errors:,}", f"{of.error:.2%}")
    drift = Table("of", "largest index", "alarms", title="drift in windows of 500", box=None)
    for kind in figures.drift:
        drift.add_row(kind.kind, f"{kind.largest:.3f}", f"{kind.alarms} of {kind.looks}")
    return [words, sets, families, pictures, drift]


def _photo_table(families: "list[FamilyErrors]") -> "Table":
    from rich.table import Table

    table = Table(
        *("photos", "of", "nothing found", "read wrong", "accepted", "accepted and wrong", "lines right"),
        title="photos",
        box=None,
    )
    for of in families:
        title = f"{of.title} (held out)" if of.held_out else of.title
        wrong = of.wrong if of.kind == "digit" else ""  # what shows no digit, or several, cannot be read right as one
        lines_right = "" if of.lines_right is None else of.lines_right
        table.add_row(title, *map(str, (of.photos, of.refused, wrong, of.accepted, of.accepted_and_wrong, lines_right)))
    return table


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
