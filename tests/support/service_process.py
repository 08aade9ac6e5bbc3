"""`python -m service` as a process of its own, and with several workers."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DIGITS_")}
FEW_PREDICTIONS = {"DIGITS_RECENT_PREDICTIONS": "64"}
"""The memory that workers share for recent predictions is small: a process that is killed leaves it behind."""


def start(*options, **environment):
    """The process; of this one's environment it has all but the settings of the service."""
    return subprocess.Popen(
        [sys.executable, "-m", "service", *options],
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
def running(store, **environment):
    """A parent of two workers, and its URL once it is ready."""
    options = ["--store", str(store.path), "--model", "tiny", "--port", "0", "--workers", "2"]
    process = start(*options, **(FEW_PREDICTIONS | environment))
    try:
        line = process.stdout.readline()
        match = re.fullmatch(r"tiny version 1 is ready at (\S+) \(\S+/docs\) after \d+\.\d s, 2 workers\n", line)
        assert match, line + process.stderr.read()
        yield process, match[1]
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
