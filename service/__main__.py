"""`python -m service`: options of the command line -> settings -> one worker, or a supervisor of several."""

import errno
import socket
from typing import TYPE_CHECKING, Annotated, NoReturn

from training.system import without_packages

try:
    import typer
except ModuleNotFoundError as missing:
    raise SystemExit(without_packages(missing, "service")) from None

# FastAPI and JAX are imported inside the functions, so that --help does not wait for them.
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
        str | None,
        typer.Option(
            envvar="DIGITS_STORE",
            help="Checkpoint store: a folder, or s3://…, gs://…, az://…",
            show_default="./checkpoints",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(envvar="DIGITS_MODEL", help="The model to serve.", show_default="lenet")
    ] = None,
    root_path: Annotated[
        str | None, typer.Option(envvar="DIGITS_ROOT_PATH", help="Path prefix of a proxy.", show_default="none")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(envvar="DIGITS_WORKERS", min=1, help="How many processes.", show_default="1")
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(envvar="DIGITS_TLS_CERT", help="Certificate chain (PEM).", show_default="plain HTTP")
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(envvar="DIGITS_TLS_KEY", help="Its private key (PEM).", show_default="none")
    ] = None,
) -> None:
    """Answer with the champion of a model. Each setting of the service is an environment variable, DIGITS_…."""
    from training.errors import DigitsError
    from training.system import check_system

    try:
        check_system(workers=workers or 1)
    except DigitsError as error:
        _fail(str(error))
    given = {"host": host, "port": port, "store": store, "model": model, "workers": workers}
    given |= {"root_path": root_path, "tls_cert": tls_cert, "tls_key": tls_key}
    settings = _settings({name: value for name, value in given.items() if value is not None})
    with _bound(settings.host, settings.port) as listener:
        _serve(settings, listener)


def _serve(settings: "ServiceSettings", listener: socket.socket) -> None:
    from service.observability.logs import configure_logs
    from training.errors import DigitsError

    configure_logs(settings.log_level, settings.log_format)
    _tell_unknown_variables(settings)
    if settings.workers > 1:
        from service.server.supervisor import run_supervisor

        try:
            code = run_supervisor(settings, listener, lambda served: _announce(served, settings, listener))
        except OSError as error:
            _fail_to_listen(settings.host, settings.port, error)
        raise typer.Exit(code)

    from service.server.worker import run_worker

    try:
        run_worker(settings, lambda served: _announce(served, settings, listener), listener=listener)
    except (DigitsError, ImportError) as error:
        _fail(str(error))
    except OSError as error:
        _fail_to_listen(settings.host, settings.port, error)


def _tell_unknown_variables(settings: "ServiceSettings") -> None:
    """Warns of variables of the environment that look like settings; one that is a setting misspelt is an error."""
    import logging

    from training.settings import OTHERS, unknown_variables

    for variable in unknown_variables([*type(settings).model_fields, *OTHERS]):
        logging.getLogger("service").warning("%s is no setting, and has no effect", variable)


def _announce(served: str, settings: "ServiceSettings", listener: socket.socket) -> None:
    from service.server.process_age import process_age_s

    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_cert else "http"
    url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    workers = f", {settings.workers} workers" if settings.workers > 1 else ""
    typer.echo(f"{served} is ready at {url} ({url}/docs) after {process_age_s():.1f} s{workers}")


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
    """A bound socket that does not listen yet: until the models are loaded, connections are refused."""
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


def main(program: str = "digits-serve") -> None:
    """Serves as the arguments of the process say."""
    app(prog_name=program)


if __name__ == "__main__":
    main("python -m service")
