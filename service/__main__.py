"""`python -m service`: serve the champion of a model."""

import errno
import os
import signal
import socket
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

# FastAPI and JAX are imported inside the functions, so that --help answers at once.
if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from service.settings import ServiceSettings

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(epilog="Example:  python -m service --model lenet --port 8080")
def serve(
    host: Annotated[
        str | None, typer.Option(envvar="DIGITS_HOST", help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(envvar="DIGITS_PORT", help="Port; 0 takes any.", show_default="8000")
    ] = None,
    store: Annotated[
        str | None, typer.Option(envvar="DIGITS_STORE", help="The checkpoint store.", show_default="./checkpoints")
    ] = None,
    model: Annotated[
        str | None, typer.Option(envvar="DIGITS_MODEL", help="The model to serve.", show_default="lenet")
    ] = None,
) -> None:
    """Answer with the champion of a model. Each setting of the service is an environment variable, DIGITS_…."""
    given = {"host": host, "port": port, "store": store, "model": model}
    settings = _settings({name: value for name, value in given.items() if value is not None})
    signal.signal(signal.SIGTERM, _stop)
    with _bound(settings.host, settings.port) as listener:
        _serve(settings, listener)


def _serve(settings: "ServiceSettings", listener: socket.socket) -> None:
    from training.errors import DigitsError
    from training.store import CHAMPION, Store, UnknownModel

    try:
        Store(settings.store).resolve(settings.model, CHAMPION)  # before seconds go into loading JAX
        from service.app import create_app
        from service.live import Live
        from service.metrics import Metrics
        from service.server import DrainingServer, process_age_s

        metrics = Metrics()
        live = Live.load(settings, metrics)
    except UnknownModel as error:
        _fail(f"{error}; to train and publish one: python -m training fit {settings.model} --quick")
    except (DigitsError, OSError, ImportError) as error:
        _fail(str(error))

    def announce() -> None:
        version = live.resolve()
        host, port = listener.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        typer.echo(
            f"{version.name} version {version.version} is ready at {url} ({url}/docs) after {process_age_s():.1f} s"
        )

    server = DrainingServer(create_app(settings, live, metrics), settings, announce)
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, _stopped)
    try:
        server.run(sockets=[listener])
    except OSError as error:
        _fail_to_listen(settings.host, settings.port, error)


def _settings(given: dict[str, str | int]) -> "ServiceSettings":
    from pydantic import ValidationError

    from service.settings import ServiceSettings

    try:
        return ServiceSettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        _fail("; ".join(_in_words(detail) for detail in error.errors()))


def _in_words(detail: "ErrorDetails") -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    return f"DIGITS_{detail['loc'][0]}".upper() + f" is {detail['input']!r}: {message}"


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the address but does not listen yet: until the model is loaded, connections are refused."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        _fail_to_listen(host, port, error)
    return listener


def _fail_to_listen(host: str, port: int, error: OSError) -> NoReturn:
    if error.errno == errno.EADDRINUSE:
        _fail(f"port {port} of {host} is in use; choose another with --port, or --port 0 for any free one")
    _fail(f"can't listen on {host}, port {port}: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
    raise typer.Exit(1)


def _stop(*_: object) -> NoReturn:
    """Ends the process at once: nothing is accepted yet, and an exception could end in some library's callback."""
    os._exit(0)


def _stopped(*_: object) -> None:
    """Does nothing: uvicorn raises the signal again that it has obeyed, and to obey is to exit with 0."""


if __name__ == "__main__":
    app(prog_name="python -m service")
