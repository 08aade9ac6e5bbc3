"""Clients that openapi-python-client and openapi-typescript make of openapi.json: type-checked, they predict."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.application import app_with, served
from tests.support.fake_predictor import FakePredictor
from tests.support.generators import NODE_MODULES, node_program, python_program
from tests.support.pictures import BLACK, encoded

HERE = Path(__file__).parent
pytestmark = pytest.mark.usefixtures("generators")


@pytest.fixture
def app(tmp_path):
    return app_with(FakePredictor(), feedback_url=f"sqlite:///{tmp_path}/feedback.sqlite3")


@pytest.fixture
def document(app, tmp_path):
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(app.openapi()))
    return path


def run(*command, cwd, **options):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_client_in_python_is_typed_and_predicts(app, document, tmp_path):
    folder = tmp_path / "digits_client"
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    options = ("--path", document, "--output-path", folder, "--meta", "none", "--config", tmp_path / "config.yml")
    said = run(python_program("openapi-python-client"), "generate", *options, cwd=tmp_path)
    warnings = [line for line in said.splitlines() if "WARNING" in line or "will not be generated" in line]
    left_out = [line for line in said.splitlines() if line.startswith("Unsupported content type")]
    assert len(warnings) == len(left_out)  # image files, which it sends as forms
    shutil.copy(HERE / "python/program.py", tmp_path)
    mypy = (
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        python_program("python"),
        "--no-incremental",
    )
    run(*mypy, "program.py", cwd=tmp_path)
    (tmp_path / "seven.png").write_bytes(encoded(BLACK))
    with served(app) as (host, port):
        found = run(python_program("python"), "program.py", f"http://{host}:{port}", "seven.png", cwd=tmp_path)
    assert json.loads(found) == {
        "digits": [7, 7, 8],
        "model": "lenet",
        "error": "wrong_length",
        "line": "0",
        "v1": 10,
        "v2": [[7], ["3"]],
        "deleted": True,
    }


def test_a_client_in_typescript_is_typed_and_predicts(app, document, tmp_path):
    for name in ("package.json", "tsconfig.json", "program.ts", "main.mjs"):
        shutil.copy(HERE / "typescript" / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    run(node_program("openapi-typescript"), document, "-o", "schema.d.ts", cwd=tmp_path)
    run(node_program("tsc"), "-p", ".", cwd=tmp_path)
    with served(app) as (host, port):
        found = run("node", "main.mjs", f"http://{host}:{port}", cwd=tmp_path)
    assert json.loads(found) == {
        "digits": [7, 7, 8],
        "model": "lenet",
        "error": "wrong_length",
        "v1": 10,
        "v2": ["3"],
        "known": True,
    }
