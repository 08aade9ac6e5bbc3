"""`python -m tests.photos OUT.png`: a contact sheet of generated photos, a row for each family."""

from pathlib import Path
from typing import Annotated

import typer

from tests.photos.contact_sheet import contact_sheet
from training import mnist
from training.photos.families import FAMILIES, TEST_FAMILIES

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode="rich")


@app.command()
def main(
    out: Annotated[Path, typer.Argument(help="The picture to write.")],
    family: Annotated[
        list[str] | None, typer.Option(help="A family; may be given several times. All by default.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Photos of each family.")] = 8,
    seed: Annotated[int, typer.Option(help="Other photos for another seed.")] = 0,
    test: Annotated[bool, typer.Option("--test", help="What is no digit from the sources for figures.")] = False,
) -> None:
    """Write photos of training digits as a contact sheet, so that a person sees what families look like."""
    table = TEST_FAMILIES if test else FAMILIES
    for name in family or ():
        if name not in table:
            raise typer.BadParameter(f"{name} is no family, want one of {', '.join(table)}")
    chosen = [table[name] for name in family or table]
    contact_sheet(chosen, mnist.train(), count, seed).save(out)


if __name__ == "__main__":
    app(prog_name="python -m tests.photos")
