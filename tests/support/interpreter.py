"""A fresh Python interpreter."""

import subprocess
import sys


def loaded_after(statement):
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
