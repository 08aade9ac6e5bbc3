"""`python -m tests.conformance --url URL`: what a server does of the protocols that clients speak."""

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tests.conformance import open_inference, tensorflow_serving
from tests.conformance.feature import findings
from tests.conformance.server import NoServer, Server
from tests.conformance.table import summary, table
from training.commands.console import friendly_errors, stdout
from training.commands.options import JsonOption

if TYPE_CHECKING:
    from tests.conformance.feature import Finding

EXAMPLES = """Examples:

python -m tests.conformance --url http://127.0.0.1:8000

python -m tests.conformance --url http://triton:8000 --model mnist --json
"""
WIDTH = 120
"""Columns that the table takes at least; a narrower terminal wraps its lines."""
PROTOCOLS = (tensorflow_serving, open_inference)

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode="rich")


@app.command(epilog=EXAMPLES)
def main(
    url: Annotated[str, typer.Option(help="Where the server is, http://HOST:PORT.")],
    model: Annotated[str, typer.Option(help="The model to ask; by default one that the server names.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Ask a server for every feature of TensorFlow Serving's REST API (/v1) and the Open Inference Protocol (/v2).

    Inputs are zeros of the shapes and datatypes that the server's own metadata name. Exit code 0: everything works that
    is required by the protocols which the server speaks, and whatever else it offers; 1: something does not.
    """
    with friendly_errors():
        found = look(url, model)
    if as_json:
        listed = [finding._asdict() | {"passes": finding.passes} for finding in found]
        stdout.print(msgspec.json.format(msgspec.json.encode(listed)).decode(), markup=False, soft_wrap=True)
    else:
        stdout.print(table(found, url), width=max(stdout.width, WIDTH))
        stdout.print(summary(found), soft_wrap=True)
    if not all(finding.passes for finding in found):
        raise typer.Exit(1)


def look(url: str, model: str = "") -> list["Finding"]:
    """All findings on a server. Raises NoServer when there is none, or it speaks none of the protocols."""
    with Server(url, model) as server:
        spoken = [protocol for protocol in PROTOCOLS if protocol.spoken(server)]
        if not spoken:
            raise NoServer(f"{url} speaks neither /v1 of {server.model!r} nor /v2, want one of them")
        return [finding for protocol in spoken for finding in findings(protocol.FEATURES, server)]


if __name__ == "__main__":
    app(prog_name="python -m tests.conformance")
