"""`python -m tests.load.swapping`: versions take each other's places while many clients ask."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import orjson
import typer
from rich.progress import Progress

from tests.load.questions import plain
from tests.load.server import Server, adopt_orphans, free_port
from tests.support.variants import publish_variant
from training import mnist
from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import JsonOption, ModelArgument, StoreOption, default_model, default_store
from training.errors import DigitsError
from training.images import PIXELS
from training.predictor import Predictor
from training.store import Store

PICTURES = 64
VARIANT = 0.8
"""The other version: all weights times this. So every picture has other probabilities there."""
TOLERANCE = 1e-4
PATIENCE_S = 60.0
MOST_GROWTH = 1.05

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass
class Swapping:
    """What came of it."""

    swaps: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    """By version."""
    failed: list[str] = field(default_factory=list)
    """Requests without an answer of 200, and what they got."""
    mixed: int = 0
    """Answers that name one version and carry other probabilities than its own."""
    resident_mb: list[float] = field(default_factory=list)
    """After each swap."""

    @property
    def growth(self) -> float:
        """Of the memory over the second half of the swaps: its last tenth compared with its first, by medians."""
        half = self.resident_mb[len(self.resident_mb) // 2 :]
        tenth = max(1, len(half) // 10)
        return float(np.median(half[-tenth:]) / np.median(half[:tenth]))

    @property
    def goals(self) -> dict[str, bool]:
        """What was wanted, with what was found, and whether the two agree."""
        return {
            f"{len(self.failed):,} failed requests, wanted none": not self.failed,
            f"{self.mixed:,} answers with another version's probabilities, wanted none": not self.mixed,
            f"memory {self.growth:.3f} times what it was half-way, wanted at most {MOST_GROWTH:.2f}": (
                self.growth <= MOST_GROWTH
            ),
        }


@app.command(epilog="Example:  python -m tests.load.swapping lenet --swaps 20 --clients 16")
def main(
    model: ModelArgument = "",
    store: StoreOption = "",
    swaps: Annotated[
        int, typer.Option(min=1, help="How often another version takes the place of the running one.")
    ] = 100,
    clients: Annotated[int, typer.Option(min=1, help="How many ask at the same time.")] = 64,
    as_json: JsonOption = False,
) -> None:
    """Swap two versions of a model again and again under load, and look at every answer."""
    model = model or default_model()
    with friendly_errors(), tempfile.TemporaryDirectory() as folder:
        adopt_orphans()
        shutil.copytree(Path(store or default_store()) / model, Path(folder) / model)
        with Progress(console=stderr, transient=True) as progress:
            task = progress.add_task("swapping", total=swaps)
            outcome = swap(Store(folder), model, swaps, clients, lambda: progress.advance(task))
    if as_json:
        typer.echo(msgspec.json.encode(outcome))
        return
    by_version = ", ".join(f"{count:,} by version {version}" for version, count in sorted(outcome.answers.items()))
    stdout.print(f"{outcome.swaps} swaps under {clients} clients: {outcome.answers.total():,} answers, {by_version}")
    memory = " MB, ".join(f"{outcome.resident_mb[at]:,.0f}" for at in (0, len(outcome.resident_mb) // 2, -1))
    stdout.print(f"resident memory after the first swap, half-way, and at the end: {memory} MB")
    for goal, met in outcome.goals.items():
        stdout.print(f"{goal}: {'met' if met else 'missed'}", style="green" if met else "red", soft_wrap=True)
    for reason in sorted(set(outcome.failed)):
        stdout.print(f"failed: {reason}", soft_wrap=True)


def swap(store: Store, model: str, swaps: int, clients: int, watch=lambda: None) -> Swapping:
    """Serves a model of a store, whose champion changes so often. Publishes another version there."""
    champion = store.resolve(model, "champion")
    versions = (champion, publish_variant(store, model, VARIANT))
    images = mnist.train().images[:PICTURES]
    right = {version: Predictor.load(store, model, version)(images) for version in versions}
    outcome = Swapping()
    port = free_port()
    command = [sys.executable, "-m", "service", "--store", str(store.path), "--model", model, "--port", str(port)]
    with Server(command, port) as server:
        server.wait(plain("raw", images[:1].reshape(1, PIXELS)))
        asyncio.run(_run(store, server, outcome, images, right, versions, swaps, clients, watch))
    return outcome


async def _run(store, server, outcome, images, right, versions, swaps, clients, watch) -> None:
    stop = asyncio.Event()
    asking = [asyncio.create_task(_ask(server.port, outcome, images, right, seed, stop)) for seed in range(clients)]
    model = store.models()[0]
    try:
        for number in range(swaps):
            version = versions[(number + 1) % 2]
            await asyncio.to_thread(store.promote, model, version)
            server.send_signal(signal.SIGHUP)
            before = outcome.answers[version]
            async with asyncio.timeout(PATIENCE_S):
                while outcome.answers[version] <= before + clients:  # so that each version works for a while
                    await asyncio.sleep(0.01)
            outcome.swaps += 1
            outcome.resident_mb.append(server.resident_mb())
            watch()
    except TimeoutError:
        raise DigitsError(f"version {version} does not answer: {server.last_words()}") from None
    finally:
        stop.set()
        await asyncio.gather(*asking)


async def _ask(port, outcome, images, right, seed, stop) -> None:
    """One client, that asks again as soon as it is answered."""
    rng = np.random.default_rng(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while not stop.is_set():
            picture = int(rng.integers(len(images)))
            head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
            writer.write(head + b"Accept: application/json\r\nContent-Length: 784\r\n\r\n" + images[picture].tobytes())
            status, body = await _answer(reader)
            if status != 200:
                outcome.failed.append(f"{status} {body.decode()[:200]}")
                continue
            said = orjson.loads(body)
            version = said["model"]["version"]
            outcome.answers[version] += 1
            (prediction,) = said["predictions"]
            outcome.mixed += not np.allclose(prediction["probabilities"], right[version][picture], atol=TOLERANCE)
    except (OSError, asyncio.IncompleteReadError) as error:
        outcome.failed.append(repr(error))
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return int(head[9:12]), await reader.readexactly(int(length.split(b":")[1]))


if __name__ == "__main__":
    app(prog_name="python -m tests.load.swapping")
