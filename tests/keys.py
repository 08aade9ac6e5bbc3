"""Keys of the service, as its command makes them."""

import re
import subprocess
import sys


def made(name: str, *right: str) -> tuple[str, str]:
    """A key and its line for the file, as the command makes them."""
    command = [sys.executable, "-m", "service.keys", name, *right]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.fullmatch(rf"the key of {name}, shown this once: (\S{{43}})\n", run.stderr)[1], run.stdout
