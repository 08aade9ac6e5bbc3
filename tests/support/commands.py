"""Commands of `python -m training`, run in the test's process."""

import typer
from typer.testing import CliRunner

from training.__main__ import app as training


def run(*arguments, app: typer.Typer = training, **env: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m training …`; sentences of stderr are put back on one line."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200", **env})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, " ".join(done.stderr.split())
