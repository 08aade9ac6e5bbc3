"""The README is true: its commands are run, in its order, in a folder where nothing has been trained yet.

This is the end-to-end test, too: `make serve` trains lenet on the real 60,000 and answers for the real 10,000.
"""

import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from service.settings import ServiceSettings
from tests.conformance.mlserver.environment import protocols_python
from tests.support.project import ROOT
from training import mnist
from training.network.layers import LayerFile, shapes
from training.settings import GateSettings

README = (ROOT / "README.md").read_text()
NOT_RUN = {"make test"}  # it is what runs this


def examples() -> list[tuple[str, list[str]]]:
    """Every command of the README with the lines that it says come out."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return [(command, lines) for command, lines in found if command not in NOT_RUN]


def shape_of(line: str) -> str:
    """A line without what differs from run to run: numbers, and how wide columns are."""
    return " ".join(re.sub(r"[\d.,:e-]*\d[\d.,:e%-]*", "#", line).replace("#s", "#").split())


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def serve(folder: Path, port: int) -> tuple[subprocess.Popen, list[str]]:
    """`make serve`, and what it said until it was ready."""
    # MAKEFLAGS and MAKELEVEL are those of a `make test` that runs this
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DIGITS_", "MAKE"))}
    server = subprocess.Popen(
        ["make", "serve"],
        cwd=folder,
        env=environment | {"DIGITS_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = []
    for line in server.stdout:
        said.append(line.rstrip("\n"))
        if "is ready at" in line:
            return server, said
    server.stdout.close()
    raise AssertionError(f"make serve ended with {server.wait()}: {said[-1]}")


def stop(server: subprocess.Popen) -> None:
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(timeout=30)
    server.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A fresh checkout, as far as the commands can tell: no checkpoints, and the virtual environment of this one."""
    fresh = subprocess.run(["make", "-q", ".venv/.installed"], cwd=ROOT, check=False).returncode == 0
    assert fresh, "the virtual environment is stale; make test renews it"
    folder = tmp_path_factory.mktemp("fresh")
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".venv", "training", "service", "tests"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def outputs(folder, port):
    """What the README's commands print; the server of the first one runs until the tests of this file are done."""
    found: dict[str, list[str]] = {}
    server, found["make serve"] = serve(folder, port)
    try:
        for command, _ in examples():
            if command not in found:
                arguments = shlex.split(command.replace(":8000", f":{port}"))
                done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=120)
                assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
                found[command] = done.stdout.splitlines()
        yield found
    finally:
        stop(server)


@pytest.mark.parametrize(("command", "lines"), examples(), ids=[command[:40] for command, _ in examples()])
def test_a_command_of_the_readme_prints_what_the_readme_says(outputs, command, lines):
    printed = [shape_of(line) for line in outputs[command]]
    missing = [line for line in lines if shape_of(line) not in printed]
    assert missing == [], f"{command} printed {outputs[command]}"


def test_the_readme_starts_with_serve_and_test_and_a_question():
    commands = re.findall(r"^\$ (.*)", README, re.MULTILINE)
    assert commands[:2] == ["make serve", "make test"]
    assert commands[2].startswith("curl -s http://127.0.0.1:8000/predict")


def test_the_picture_of_the_readme_is_the_first_test_image():
    picture = json.loads((ROOT / "tests" / "seven.json").read_text())["pixels"]
    assert picture == mnist.test().images[0].tolist()


def test_the_pictures_for_other_protocols_are_the_same_one():
    flat = mnist.test().images[0].ravel().tolist()
    assert json.loads((ROOT / "tests" / "seven_v1.json").read_text())["instances"] == [flat]
    assert json.loads((ROOT / "tests" / "seven_v2.json").read_text())["inputs"][0]["data"] == flat


def test_tritons_own_client_runs_as_the_readme_says(outputs, folder, port):
    (code,) = re.findall(r"```py\n(.*?)```", README, re.DOTALL)
    command = [protocols_python(), "-c", code.replace(":8000", f":{port}")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\[\d \d\] \(2, 10\)\n", done.stdout)


def test_10000_test_images_posted_have_exactly_the_errors_that_evaluate_reports(outputs, folder, port):
    test = mnist.test()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    wrong = 0
    for first in range(0, 10_000, 100):
        body = json.dumps({"instances": test.images[first : first + 100].reshape(100, 784).tolist()})
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = json.load(connection.getresponse())
        digits = [prediction["digit"] for prediction in answer["predictions"]]
        wrong += sum(a != b for a, b in zip(digits, test.labels[first : first + 100].tolist(), strict=True))
    connection.close()
    assert wrong <= 100, "1.0 % or better"
    command = [".venv/bin/python", "-m", "training", "evaluate", "lenet", "--json"]
    evaluated = json.loads(subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout)
    assert (evaluated["images"], evaluated["errors"]) == (10_000, wrong)


def test_serving_a_second_time_does_not_train_again(outputs, folder, port):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = free.getsockname()[1]
    server, said = serve(folder, other)
    stop(server)
    assert len(said) == 1
    assert said[0].startswith("lenet version 1 is ready at")


def test_the_table_of_settings_is_the_settings():
    rows = []
    for prefix, kind in (("DIGITS_", ServiceSettings), ("DIGITS_GATE_", GateSettings)):
        for name, field in kind.model_fields.items():
            default = "none" if field.default in (None, ()) else f"`{field.default}`"
            rows.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |")
    assert re.findall(r"^\| `DIGITS_.*", README, re.MULTILINE) == rows


def test_the_python_of_the_readme_runs(folder):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [".venv/bin/python", "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 0.95 < float(done.stdout) < 1


def test_the_network_of_the_readme_is_a_network(tmp_path):
    (listed,) = re.findall(r"```toml\n(layers.*?)```", README, re.DOTALL)
    (tmp_path / "net.toml").write_text(listed)
    assert shapes(LayerFile.read(tmp_path / "net.toml").layers)[-1] == (10,)
