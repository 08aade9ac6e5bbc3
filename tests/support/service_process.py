"""`python -m service` as a process of its own and with several workers, real or with fakes; plain workers."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.compiled import SHARING

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DIGITS_")}
FAKE = "tests.support.fake_service"
"""The module to start in place of `service`, where the networks do not matter."""
FEW_PREDICTIONS = {"DIGITS_RECENT_PREDICTIONS": "64"}
"""The memory that workers share for recent predictions is small: a process that is killed leaves it behind."""


def start(*options, module="service", **environment):
    """The process; of this one's environment it has all but the settings of the service."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | environment,
    )


def outcome(*options, **environment):
    """Exit code and stderr of a service that ends by itself."""
    process = start(*options, **environment)
    stdout, stderr = process.communicate(timeout=30)
    assert stdout == ""
    return process.returncode, stderr


@contextmanager
def running(store, module="service", **environment):
    """A parent of two workers, which read what others have compiled, and its URL once it is ready."""
    options = ["--store", str(store.path), "--model", "tiny", "--port", "0", "--workers", "2"]
    ready = r"tiny version 1 is ready at (\S+) \(\S+/docs\) after \d+\.\d s, 2 workers\n"
    with _ended(start(*options, module=module, **(SHARING | FEW_PREDICTIONS | environment))) as process:
        yield process, _url(process, ready)


@contextmanager
def running_plain(folder, **settings):
    """A parent of two workers of `plain_worker`, which obey `folder`, and its URL once it is ready."""
    with _ended(start_plain(folder, **settings)) as process:
        yield process, _url(process, r"plain version 1 is ready at (\S+)\n")


def start_plain(folder, port=0, **settings):
    """A parent of two workers of `plain_worker`."""
    chosen = [f"{name}={value}" for name, value in settings.items()]
    return start(str(port), str(folder), "2", *chosen, module="tests.support.plain_worker")


def _url(process, ready):
    line = process.stdout.readline()
    match = re.fullmatch(ready, line)
    assert match, line + process.stderr.read()
    return match[1]


@contextmanager
def _ended(process):
    try:
        yield process
    finally:
        workers = workers_of(process)
        process.kill()
        process.communicate()
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def workers_of(process):
    """The process ids of those that serve."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, _, rest = path.read_text().partition(" ")
            if (
                int(rest.rpartition(")")[2].split()[1]) == process.pid
                and b"spawn_main" in (path.parent / "cmdline").read_bytes()
            ):
                found.append(int(pid))
    return found


def gone(pid):
    """Whether a process has ended."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
