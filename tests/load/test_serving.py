"""The parts of the serving benchmark that could be wrong without anyone noticing. No other library is started."""

import asyncio
import json
import threading
from contextlib import contextmanager

import jax
import numpy as np
import pytest
from scipy.signal import correlate
from scipy.special import softmax

from tests.load.champion import export
from tests.load.goals import GOALS, verdicts
from tests.load.open_loop import UNANSWERED, offer
from tests.load.questions import bentoml, digits_in, open_inference, plain
from tests.load.rounds import Standing
from tests.load.servers.network import read
from tests.load.tables import markdown, remarks
from tests.load.workloads import BYTES, CROWD, FEW, LONELY, NUMBERS, WORKLOADS
from tests.load.wrk import Measurement, measured
from training import mnist
from training.errors import DigitsError
from training.network.compiled import CompiledNetwork
from training.network.convolution import inference_form
from training.network.layers import Conv, Flatten
from training.network.models import MODELS
from training.network.module import initialise


def forward(network, pixels):
    """Probabilities as a contestant computes them, in NumPy: channels first."""
    x = pixels.reshape(-1, 1, 28, 28) / 255  # [n, 1, 28, 28]
    for layer in network:
        match layer.kind:
            case "conv":
                windows = [[correlate(image, kernel, "valid")[0] for kernel in layer.kernel] for image in x]
                x = np.array(windows) + layer.bias[:, None, None]
            case "max_pool":
                n, c, h, w = x.shape
                x = x.reshape(n, c, h // layer.size, layer.size, w // layer.size, layer.size).max(axis=(3, 5))
            case "flatten":
                x = x.reshape(len(x), -1)
            case "dense":
                x = x @ layer.kernel.T + layer.bias
        x = np.maximum(x, 0) if layer.relu else x
    return softmax(x, axis=1)


@pytest.mark.parametrize("name", ["lenet", "mlp_deep"])
def test_an_exported_network_answers_as_ours_does_temperature_included(tmp_path, name):
    params = initialise(MODELS[name], inference_form(), jax.random.key(0))
    export(tmp_path / "network.npz", MODELS[name], params, 1.7)
    images = mnist.train().images[:4]
    ours = CompiledNetwork(MODELS[name], params, temperature=1.7, row_sizes=[4])(images)
    np.testing.assert_allclose(forward(read(tmp_path / "network.npz"), images.reshape(4, -1)), ours, atol=1e-5)


def test_a_layer_that_others_are_not_taught_is_refused_by_name(tmp_path):
    layers = (Conv(4, kernel=3, padding="same"), Flatten(), *MODELS["mlp"][1:])
    params = initialise(layers, inference_form(), jax.random.key(0))
    with pytest.raises(DigitsError, match=r"a conv layer cannot be measured: .*padding='same'"):
        export(tmp_path / "network.npz", layers, params, 1.0)


def test_questions_hold_the_pixels_and_go_where_each_server_wants_them():
    pixels = np.arange(2 * 784).astype(np.uint8).reshape(2, 784)
    assert json.loads(plain("one", pixels[:1]).body) == {"pixels": pixels[0].tolist()}
    assert json.loads(plain("many", pixels).body) == json.loads(bentoml("many", pixels).body)
    (tensor,) = json.loads(open_inference("many", pixels).body)["inputs"]
    assert (tensor["shape"], tensor["data"][784:787]) == ([2, 784], pixels[1, :3].tolist())
    for dialect in (plain, bentoml, open_inference):
        assert dialect("raw", pixels).body == pixels.tobytes()


@pytest.mark.parametrize(
    "answer",
    [
        {"predictions": [{"digit": 3}, {"digit": 0}]},
        {"probabilities": np.eye(10)[[3, 0]].tolist()},
        {"outputs": [{"name": "probabilities", "data": np.eye(10)[[3, 0]].ravel().tolist()}]},
        np.eye(10)[[3, 0]].tolist(),
    ],
)
def test_digits_are_found_in_every_form_of_answer(answer):
    assert digits_in(json.dumps(answer).encode()) == [3, 0]


def test_requests_that_were_refused_are_no_part_of_the_rate():
    said = {"requests": 300, "microseconds": 2_000_000, "p50_us": 1500, "p99_us": 9000, "refused": 100, "timeouts": 1}
    found = measured(f"Running 2s test\n{json.dumps(said | {'broken': 2})}\n", "", rows=256)
    assert found == Measurement(100.0, 25_600.0, 1.5, 9.0, errors=103)
    with pytest.raises(DigitsError, match="wrk failed: unable to connect"):
        measured("", "unable to connect to 127.0.0.1:1", rows=1)


def figures(rate, p50, p99, errors=0):
    return Measurement(rate, rate * 256, p50, p99, errors)


def standing(key, *rounds):
    return Standing(key, key, {workload.name: list(rounds) for workload in WORKLOADS})


def test_goals_compare_medians_with_the_best_of_the_right_others():
    standings = [
        standing("digits", figures(750, 2, 20), figures(760, 2, 20), figures(1, 99, 99)),
        standing("fastapi_floor", figures(1000, 0.8, 10)),
        standing("fastapi_onnx", figures(800, 1.9, 30)),
        standing("litserve", figures(100, 5, 50)),
        standing("ray_serve", figures(200, 9, 90)),
    ]
    found = {
        (verdict.goal.workload, verdict.goal.figure, verdict.reference): verdict for verdict in verdicts(standings)
    }
    assert len(found) == len(GOALS["digits"])
    assert found[LONELY, "p50_ms", "fastapi_floor"].met  # 2 / 0.8, wanted at most 2.5
    assert found[LONELY, "p50_ms", "fastapi_onnx"].met is False  # 2 / 1.9, wanted at most 1
    assert found[FEW, "requests_per_s", "fastapi_floor"].met  # 0.75 of it, exactly
    assert found[CROWD, "requests_per_s", "ray_serve"].met is False  # 3.75 times the better framework, wanted 4
    assert found[NUMBERS, "images_per_s", "fastapi_onnx"].met is False  # 0.94 times, wanted 2
    assert found[BYTES, "images_per_s", "fastapi_onnx"].met is False  # 0.94 times, wanted 1
    assert found[BYTES, "images_per_s", ""].met is None  # nobody measured the predictor in a loop
    of_workers = verdicts([standing("digits_workers", figures(1000, 2, 20)), *standings[1:]])
    assert [verdict.goal for verdict in of_workers] == list(GOALS["digits_workers"])
    assert of_workers[0].met  # 1.0 of the floor, exactly


def test_a_contestant_that_fails_stays_in_the_table_with_the_reason():
    failed = Standing("mlserver", "MLServer", failure="ended with exit code 1: no module named torch")
    mute = Standing("digits", "digits", {LONELY.name: [figures(10, 1, 2, errors=3)]}, {"raw": "415: unsupported"})
    *_, first, second = markdown([failed, mute]).splitlines()
    assert first == "| MLServer | - | - | - | - | - |"
    assert second == "| digits | 10 (1.00), 3 errors | - | - | - | - |"
    assert remarks([failed, mute]) == [
        "MLServer failed: ended with exit code 1: no module named torch",
        "digits does not take bytes: 415: unsupported",
    ]


@contextmanager
def peculiar_server():
    """Is healthy; answers 200 and 503 in turns, and hangs up on every fifth connection's question."""
    asked = iter(range(10**6))
    ready, port = threading.Event(), []

    async def answer(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET /healthz"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    continue
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                number = next(asked)
                if number % 5 == 4:
                    break
                status = b"200 OK" if number % 2 else b"503 Busy"
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: 4\r\n\r\n12" % status)
                await asyncio.sleep(0.001)  # an answer in two parts
                writer.write(b"34")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        stop.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        ready.set()
        async with server:
            await stop[0].wait()

    stop, loops = [], []
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield port[0]
    finally:
        loops[0].call_soon_threadsafe(stop[0].set)
        thread.join()


def test_the_open_loop_offers_its_rate_and_counts_how_every_request_ended():
    halfway = []
    with peculiar_server() as port:
        outcome, health = offer(port, plain("raw", np.zeros((1, 784), np.uint8)), 200, 0.5, lambda: halfway.append(1))
    assert (outcome.asked, halfway) == (100, [1])
    assert outcome.ends == {"200": 40, "503": 40, UNANSWERED: 20}
    assert len(outcome.seconds_of_200) == 40
    assert all(0 < seconds < 5 for seconds in outcome.seconds_of_200)
    assert (health.asked, health.ends["200"]) == (5, 5)
