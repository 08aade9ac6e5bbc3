"""`python -m training compare`: two versions on the same pictures."""

from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import (
    DataOption,
    InkOption,
    JsonOption,
    ScaleOption,
    StoreOption,
    StrictOption,
    default_model,
    default_store,
    open_store,
    read_digits,
)

# JAX is imported inside the command, so that --help answers at once.
if TYPE_CHECKING:
    from rich.table import Table

    from training.data.digits import Digits
    from training.evaluation.comparison import Comparison
    from training.predictor import Predictor

LISTED = 20
"""Maximum number of changed answers that are printed; --json has all."""
ALIASES = ("champion", "previous", "challenger")
NAMES = (
    "MODEL:VERSION, such as lenet:3 or lenet:previous; MODEL alone is its champion, VERSION alone of the default model."
)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=NAMES, show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help="The other one, named alike.", show_default=False)],
    store: StoreOption = "",
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions on the same pictures: which answers changed, McNemar's exact test, and an interval.

    The pictures are the validation images that were held out from both, or your own digits.
    """
    with friendly_errors():
        import msgspec

        from training.answers import DIGIT
        from training.evaluation.comparison import Comparison
        from training.evaluation.scores import columns
        from training.predictor import Predictor

        opened = open_store(store or default_store())
        predictors = [Predictor.load(opened, *_named(name)) for name in (first, second)]
        if data:
            digits, what = read_digits(data, scale, ink, strict=strict, part="test"), str(data)
        else:
            digits, what = _held_out(predictors), "the validation images"
        with stderr.status("comparing"):
            one, other = (columns(predictor, digits)[:, DIGIT].astype(int) for predictor in predictors)
        found = Comparison.of(one, other, digits.labels)
    titles = [f"{predictor.name} version {predictor.version}" for predictor in predictors]
    if as_json:
        typer.echo(msgspec.json.encode({"first": titles[0], "second": titles[1], **msgspec.to_builtins(found)}))
        return
    stdout.print(f"on {found.pictures:,} pictures, {what}:", soft_wrap=True, markup=False)
    for letter, title, errors in zip("AB", titles, found.errors, strict=True):
        stdout.print(f"{letter}: {title}, {errors:,} wrong, error {errors / found.pictures:.2%}", soft_wrap=True)
    low, high = found.interval
    stdout.print(
        f"B - A: {100 * found.difference:+.2f} percentage points (95 %: {100 * low:+.2f} to {100 * high:+.2f}); only A "
        f"is right about {found.lost:,}, only B about {found.won:,}: McNemar's exact p = {found.p_value:.3g}",
        soft_wrap=True,
    )
    stdout.print(*_tables(found), sep="\n")


def _named(name: str) -> tuple[str, str]:
    """Model and version of MODEL:VERSION, MODEL or VERSION."""
    model, colon, version = name.partition(":")
    if colon:
        return model or default_model(), version or ALIASES[0]
    return (default_model(), name) if name.isdecimal() or name in ALIASES else (name, ALIASES[0])


def _held_out(predictors: "list[Predictor]") -> "Digits":
    """MNIST's validation images. Raises DataError unless they are those that were held out from all versions."""
    from training import mnist
    from training.data.digits import DataError
    from training.data.split import split

    digits = mnist.train()
    if any(of.card.digits_sha256 != digits.sha256 for of in predictors):
        raise DataError("not all of these versions were trained on MNIST, want --data with digits that none has seen")
    numbers = [of.card.recipe.validation_images for of in predictors]
    if len({*numbers}) > 1:
        raise DataError(
            f"{' and '.join(map(str, numbers))} images were held out from these versions, want the same number, or "
            "--data with digits that none has seen"
        )
    return split(digits, numbers[0])[1]


def _tables(found: "Comparison") -> "list[Table | str]":
    from rich.table import Table

    by_digit = Table("digit", "pictures", "only A is right", "only B is right", box=None)
    for of in found.digits:
        by_digit.add_row(*map(str, (of.digit, of.pictures, of.lost, of.won)))
    if not found.changed:
        return [by_digit, "no answer changed"]
    changed = Table("picture", "is", "A", "B", "", box=None)
    for one in found.changed[:LISTED]:
        better = "won" if one.second == one.digit else "lost" if one.first == one.digit else "wrong either way"
        changed.add_row(*map(str, (one.picture, one.digit, one.first, one.second, better)))
    more = len(found.changed) - LISTED
    return [by_digit, changed, f"and {more:,} more; --json lists all" if more > 0 else ""]
