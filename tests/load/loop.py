"""The predictor in a loop, without HTTP. `python -m tests.load.loop MODEL STORE SECONDS` prints a measurement."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from tests.load.workloads import BYTES
from tests.load.wrk import Measurement
from tests.support.project import ROOT
from training.errors import DigitsError

if TYPE_CHECKING:
    from tests.load.champion import Champion

LOOP = "loop"
TITLE = "predictor, no HTTP"


def loop(champion: Champion, seconds: int) -> Measurement:
    """What a process of its own measures. Raises DigitsError when it fails."""
    command = [sys.executable, "-m", "tests.load.loop", champion.model, champion.store, str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DigitsError(f"the loop around the predictor failed: {done.stderr.strip()[-300:]}")
    return Measurement(**json.loads(done.stdout))


def main() -> None:
    """Calls for a second to warm up, and then for as long as it is told to."""
    from training import mnist
    from training.predictor import Predictor
    from training.store import Store

    model, store, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    predictor, images = Predictor.load(Store(store), model), mnist.train().images[: BYTES.rows]
    for length in (1.0, seconds):
        times: list[float] = []
        end = time.perf_counter() + length
        while (began := time.perf_counter()) < end:
            predictor(images)
            times.append(time.perf_counter() - began)
    rate = len(times) / sum(times)
    p50, p99 = (float(np.percentile(times, q)) * 1e3 for q in (50, 99))
    sys.stdout.write(json.dumps(asdict(Measurement(rate, rate * BYTES.rows, p50, p99, errors=0))))


if __name__ == "__main__":
    main()
