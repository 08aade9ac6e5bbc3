"""BentoML's own server, with the service in service.py. Workers are processes that inherit the environment.

What BentoML writes goes into the folder of the network, which the benchmark removes.
"""

import os
import sys
from pathlib import Path

NETWORK, PORT = sys.argv[1:3]
SERVICE = "tests.load.servers.bentoml.service:Digits"

if __name__ == "__main__":
    environment = os.environ | {
        "DIGITS_BENCH_NETWORK": NETWORK,
        "DIGITS_BENCH_PORT": PORT,
        "BENTOML_HOME": str(Path(NETWORK).parent / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    os.execve(sys.executable, [sys.executable, "-m", "bentoml", "serve", SERVICE, "--port", PORT], environment)
