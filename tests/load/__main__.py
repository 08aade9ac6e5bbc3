"""`make bench`: the predictor called in a loop, and the service under one and under many clients."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from training import mnist
from training.commands.console import friendly_errors
from training.commands.options import ModelArgument, StoreOption, default_model, default_store, open_store
from training.predictor import Predictor

console = Console()
ROUNDS = 3


def main(
    model: ModelArgument = "",
    store: StoreOption = "",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each measurement takes.")] = 3.0,
) -> None:
    """Median of three rounds each. These figures compare what is in one run, not machines or days."""
    model, store = model or default_model(), store or default_store()
    with friendly_errors():
        predictor = Predictor.load(open_store(store), model)
    console.print(f"{model} version {predictor.version}, {os.cpu_count()} processors, {platform.machine()}")
    images = mnist.train().images
    table = Table("the predictor alone", "images/s", "ms a call", box=None)
    for rows in predictor.row_sizes:
        per_call = statistics.median(_loop(predictor, images[:rows], seconds / ROUNDS) for _ in range(ROUNDS))
        table.add_row(f"{rows} rows", f"{rows / per_call:,.0f}", f"{per_call * 1e3:.2f}")
    console.print(table)
    del predictor

    arguments = [sys.executable, "-m", "service", "--model", model, "--store", store, "--port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as service:
        try:
            ready = service.stdout.readline() if service.stdout else ""
            console.print(ready.strip())
            port = int(ready.split("//127.0.0.1:")[1].split()[0])
            console.print(_over_http(port, images, seconds))
        finally:
            service.terminate()


def _loop(predictor: Predictor, images: np.ndarray, seconds: float) -> float:
    """Seconds for a call."""
    predictor(images)
    calls, began = 0, time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        predictor(images)
        calls += 1
    return (now - began) / calls


def _over_http(port: int, images: np.ndarray, seconds: float) -> Table:
    table = Table("over HTTP, JSON", "requests/s", "images/s", "p50 ms", "p99 ms", box=None)
    one = {"pixels": images[0].ravel().tolist()}
    many = {"instances": images[:256].reshape(256, -1).tolist()}
    for name, clients, rows, question in (
        ("1 image, 1 client", 1, 1, one),
        ("1 image, 16 clients", 16, 1, one),
        ("1 image, 64 clients", 64, 1, one),
        ("256 images, 4 clients", 4, 256, many),
    ):
        rounds = [asyncio.run(_load(port, json.dumps(question).encode(), clients, seconds)) for _ in range(ROUNDS)]
        rate = statistics.median(len(times) / seconds for times in rounds)
        p50, p99 = (statistics.median(np.percentile(times, q) for times in rounds) * 1e3 for q in (50, 99))
        table.add_row(name, f"{rate:,.0f}", f"{rate * rows:,.0f}", f"{p50:.2f}", f"{p99:.1f}")
    return table


async def _load(port: int, body: bytes, clients: int, seconds: float) -> list[float]:
    """The seconds that each answer took; every client asks again as soon as it is answered."""
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    question, times = head.encode() + body, []
    end = time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            writer.write(question)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode())
            length = answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            times.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(clients)))
    return times


if __name__ == "__main__":
    typer.run(main)
