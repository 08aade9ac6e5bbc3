"""`python -m training models | promote | rollback | prune | changes`: versions of models: list, choose, remove."""

from datetime import datetime
from typing import Annotated

import msgspec
import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import JsonOption, ModelArgument, StoreOption, default_model, default_store, open_store

WhyOption = Annotated[str, typer.Option(help="The reason, for the record.", show_default=False)]


class Row(msgspec.Struct):
    """A version as `models` lists it."""

    model: str
    version: int
    aliases: list[str]
    bytes: int = 0
    validation_error: float | None = None
    interval: tuple[float, float] | None = None
    weights: int | None = None
    created: datetime | None = None
    problem: str | None = None
    """The error of a damaged version; then the values of its card are None."""


def models(store: StoreOption = "", as_json: JsonOption = False) -> None:
    """List every version of every model: validation error, date, size, aliases."""
    store = store or default_store()
    with friendly_errors():
        rows = _rows(store)
    if as_json:
        typer.echo(msgspec.json.encode(rows))
        return
    if not rows:
        stdout.print(
            f"the store {store} is empty; fill it with [bold]python -m training fit lenet --quick[/]", soft_wrap=True
        )
        return
    from rich.table import Table

    table = Table(
        "model", "version", "aliases", "validation error", "weights", "size", "created", box=None, pad_edge=False
    )
    for row in rows:
        table.add_row(row.model, str(row.version), ", ".join(row.aliases), *_facts(row))
    stdout.print(table)
    for row in rows:
        if row.problem:
            stderr.print(row.problem, style="red", soft_wrap=True, markup=False)


def promote(
    model: Annotated[str, typer.Argument(help="A model's name.")],
    version: Annotated[str, typer.Argument(help="A version's number, or an alias.")],
    store: StoreOption = "",
    why: WhyOption = "",
    instead_of: Annotated[
        int | None, typer.Option(help="Only if this version is the champion until now.", show_default=False)
    ] = None,
) -> None:
    """Make a version the champion: the one that the service answers with."""
    with friendly_errors():
        number = open_store(store or default_store()).promote(model, version, why=why, instead_of=instead_of)
    stdout.print(f"version {number} is the champion of {model}", soft_wrap=True)


def rollback(model: ModelArgument = "", store: StoreOption = "", why: WhyOption = "") -> None:
    """Make the previous champion the champion again."""
    model = model or default_model()
    with friendly_errors():
        number = open_store(store or default_store()).rollback(model, why=why)
    stdout.print(f"version {number} is the champion of {model} again", soft_wrap=True)


def prune(
    model: ModelArgument = "",
    store: StoreOption = "",
    keep: Annotated[
        int, typer.Option(min=1, help="How many of the newest versions stay, besides those with an alias.")
    ] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which versions would be removed.")] = False,
) -> None:
    """Remove old versions, for ever: never one with an alias, and never the newest one."""
    model = model or default_model()
    with friendly_errors():
        removed = open_store(store or default_store()).prune(model, keep, dry_run=dry_run)
    done = "would be removed" if dry_run else "removed"
    stdout.print(f"{model}: {', '.join(map(str, removed)) or 'no version'} {done}", soft_wrap=True)


def changes(model: ModelArgument = "", store: StoreOption = "", as_json: JsonOption = False) -> None:
    """List the changes of aliases: who, when, from which version to which, and why."""
    model = model or default_model()
    with friendly_errors():
        record = open_store(store or default_store()).changes(model)
    if as_json:
        typer.echo(msgspec.json.encode(record))
        return
    from rich.table import Table

    table = Table("when (UTC)", "alias", "from", "to", "by", "why", box=None, pad_edge=False)
    for change in record:
        before, after = (str(version or "-") for version in (change.before, change.after))
        table.add_row(f"{change.when:%Y-%m-%d %H:%M:%S}", change.alias, before, after, change.by, change.why)
    stdout.print(table)


def _rows(path: str) -> list[Row]:
    from training.store.manifest import StoreError

    store = open_store(path)
    rows = []
    for model in store.models():
        aliases = store.aliases(model)
        for version in store.versions(model):
            names = sorted(name for name, of in aliases.items() if of == version)
            row = Row(model, version, names)
            try:
                row.bytes = store.size_bytes(model, version)
                card = store.card(model, version)
            except StoreError as error:
                row.problem = str(error)
            else:
                row.validation_error, row.interval = card.validation.error, card.validation.interval
                row.weights, row.created = card.weights, card.created
            rows.append(row)
    return rows


def _facts(row: Row) -> list[str]:
    size = f"{row.bytes / 1e6:.1f} MB"
    if row.interval is None:
        return ["[red]damaged[/]", "", size, ""]
    low, high = row.interval
    return [
        f"{row.validation_error:.2%} ({100 * low:.2f}-{100 * high:.2f})",
        f"{row.weights:,}",
        size,
        f"{row.created:%Y-%m-%d}",
    ]
