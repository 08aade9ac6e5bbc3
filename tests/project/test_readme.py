"""The four READMEs are true: what they show is run, in their order, in a folder where nothing has been trained yet.

This is the end-to-end test, too: `make serve` trains lenet on the real 60,000 and answers for the real 10,000.
"""

import http.client
import importlib.util
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from playwright.sync_api import sync_playwright
from typer.main import get_command

from service.settings import ServiceSettings
from tests.conformance.mlserver.environment import protocols_python
from tests.support.browser import ARGUMENTS, CHROMIUM
from tests.support.markdown import anchors, blocks, inline_code, targets
from tests.support.project import ROOT
from tests.support.shell import Ran, Shell
from training import mnist
from training.network.layers import LayerFile, shapes
from training.recipe import Recipe
from training.retraining.settings import GateSettings

NAMES = ("README.md", "service/README.md", "training/README.md", "k8s/README.md")
TEXTS = {name: (ROOT / name).read_text() for name in NAMES}
README = TEXTS["README.md"]
NOT_RUN = {"make test"}  # it is what runs this
PORTS = ("8000", "8001", "8443")
"""Of the server that `make serve` starts, and of those that the READMEs start: tests put free ones in their place."""
RUN = {"console", "python", "py", "js", "toml"}
"""Languages of blocks that are run; a file is written for `toml`."""
ONLY_CHECKED = {"json", "sh", "yaml"}
"""JSON is here, docker, kubectl and their files in test_deployment_commands.py."""
TIMEOUT_S = 300


class Step(NamedTuple):
    """Something that a README shows: a command or a program, and the lines that it says come out."""

    readme: str
    language: str
    code: str
    lines: tuple[str, ...]

    @property
    def title(self) -> str:
        """For the names of tests."""
        return f"{self.readme}: {self.code.splitlines()[0][:60]}"


def commands(readme: str, text: str) -> list[Step]:
    """The commands of a console, each with the lines behind it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [Step(readme, "console", command, tuple(lines)) for command, lines in found if command not in NOT_RUN]


def steps() -> list[Step]:
    """Everything that is run, in the order of the READMEs."""
    found = []
    for name, text in TEXTS.items():
        for language, code in blocks(text):
            if language == "console":
                found += commands(name, code)
            elif language in RUN:
                printed = re.findall(r"^(?:print|console\.log)\(.*\);?  ?(?:#|//) (.*)$", code, re.MULTILINE)
                found.append(Step(name, language, code, tuple(printed)))
    return found


STEPS = steps()


def shape_of(line: str) -> str:
    """A line without what differs from run to run: numbers, and how wide columns are."""
    return " ".join(re.sub(r"[\d.,:e-]*\d[\d.,:e%-]*", "#", line).replace("#s", "#").split())


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    return {port: str(free_port()) for port in PORTS}


@pytest.fixture(scope="module")
def port(ports) -> int:
    return int(ports["8000"])


def environment(**variables: str) -> dict[str, str]:
    """That of this process, but for our settings, and for what is `make test`'s own."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("DIGITS_", "MAKE"))} | variables


def serve(folder: Path, port: int) -> tuple[subprocess.Popen, list[str]]:
    """`make serve`, and what it said until it was ready."""
    server = subprocess.Popen(
        ["make", "serve"],
        cwd=folder,
        env=environment(DIGITS_PORT=str(port)),
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
    assert fresh, "the virtual environment is stale; make test-all renews it"
    folder = tmp_path_factory.mktemp("fresh")
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".venv", "training", "service", "tests"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def run_in_browser(code: str, folder: Path, port: int) -> Ran:
    """A module of JavaScript, in a page that has the folder's files beside it; its lines are what the console says."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        body = '<script type="module" src="program.mjs"></script>'
        page.route("**/program.html", lambda route: route.fulfill(content_type="text/html", body=body))
        page.route("**/program.mjs", lambda route: route.fulfill(content_type="text/javascript", body=code))
        page.route(
            "**/tests/*.json",
            lambda route: route.fulfill(path=folder / "tests" / route.request.url.rpartition("/")[2]),
        )
        with page.expect_console_message() as message:
            page.goto(f"http://127.0.0.1:{port}/program.html")
        browser.close()
        return Ran(len(failures), [message.value.text], "\n".join(failures))


def perform(step: Step, shell: Shell, folder: Path, ports: dict[str, str]) -> Ran:
    """Does what a step says."""
    code = re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: ports[found[1]], step.code)
    if step.language == "console":
        return shell.run(code, TIMEOUT_S)
    if step.language == "js":
        return run_in_browser(code, folder, int(ports["8000"]))
    if step.language == "toml":
        (folder / code.splitlines()[0].removeprefix("# ")).write_text(code)
        return Ran(0, [], "")
    python = ".venv/bin/python" if step.language == "python" else protocols_python()
    return shell.run(f"{python} -c {shlex.quote(code)}", TIMEOUT_S)


@pytest.fixture(scope="module")
def ran(folder, ports, tmp_path_factory):
    """What came of every step; the server of `make serve` and the shell go on until the tests of this file are done."""
    server, said = serve(folder, int(ports["8000"]))
    shell = Shell(folder, environment(), tmp_path_factory.mktemp("shell"))
    try:
        yield [Ran(0, said, ""), *(perform(step, shell, folder, ports) for step in STEPS[1:])]
    finally:
        shell.close()
        stop(server)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(STEPS)), ids=[step.title for step in STEPS])
def test_what_a_readme_shows_does_what_the_readme_says(ran, number):
    step, done = STEPS[number], ran[number]
    assert done.code == 0, f"{step.code}: {done.lines}{done.errors}"
    printed = [shape_of(line) for line in done.lines]
    missing = [line for line in step.lines if shape_of(line) not in printed]
    assert missing == [], f"{step.code} printed {done.lines}"


def lines_of(ran: list[Ran], language: str, text: str) -> list[str]:
    """What the first step in a language with a text in it printed."""
    return next(
        done.lines
        for step, done in zip(STEPS, ran, strict=True)
        if (step.language, text in step.code) == (language, True)
    )


@pytest.mark.slow
def test_curl_python_and_javascript_get_the_answer_in_full_view(ran):
    (text,) = [code for language, code in blocks(README) if language == "json"]
    shown, answer = json.loads(text), json.loads("".join(lines_of(ran, "console", "seven.json")))
    assert list(shown) == list(answer)
    assert max(map(abs, (a - b for a, b in zip(shown["probabilities"], answer["probabilities"], strict=True)))) < 0.01
    for field in ("digit", "accepted", "reason", "model"):
        assert shown[field] == answer[field]
    for language in ("python", "js"):
        (said,) = lines_of(ran, language, "seven.json")
        digit, confidence, accepted = said.split()
        assert (digit, accepted.lower()) == ("7", "true")
        assert float(confidence) == pytest.approx(answer["confidence"], abs=1e-6)


@pytest.mark.slow
def test_tritons_own_client_prints_two_digits_and_twenty_probabilities(ran):
    assert re.fullmatch(r"\[\d \d\] \(2, 10\)", "\n".join(lines_of(ran, "py", "triton")))


@pytest.mark.slow
def test_the_classifier_of_the_readme_is_right_more_often_than_95_times_in_100(ran):
    (score,) = lines_of(ran, "python", "NeuralNetClassifier")
    assert 0.95 < float(score) < 1


@pytest.mark.slow
def test_10000_test_images_posted_have_exactly_the_errors_that_evaluate_reports(ran, folder, port):
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


@pytest.mark.slow
def test_serving_a_second_time_does_not_train_again(ran, folder):
    server, said = serve(folder, free_port())
    stop(server)
    assert len(said) == 1
    assert said[0].startswith("lenet version 1 is ready at")


def test_the_readme_starts_with_serve_and_test_and_a_question():
    found = re.findall(r"^\$ (.*)", README, re.MULTILINE)
    assert found[:2] == ["make serve", "make test"]
    assert found[2].startswith("curl -s http://127.0.0.1:8000/predict")
    assert STEPS[0].code == "make serve"


def test_the_readme_has_at_most_160_lines():
    assert len(README.splitlines()) <= 160


def test_the_readme_explains_its_words():
    words = re.findall(r"^\| `?([\w-]+)`? \|", README.partition("## Words")[2].partition("\n## ")[0], re.MULTILINE)
    assert {"recipe", "--quick", "champion", "challenger", "card", "gate"} <= set(words)


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_of_a_language_that_is_run_or_checked(name):
    assert {language for language, _ in blocks(TEXTS[name])} <= RUN | ONLY_CHECKED


def test_the_picture_of_the_readme_is_the_first_test_image():
    picture = json.loads((ROOT / "tests" / "seven.json").read_text())["pixels"]
    assert picture == mnist.test().images[0].tolist()


def test_the_pictures_for_other_protocols_are_the_same_one():
    flat = mnist.test().images[0].ravel().tolist()
    assert json.loads((ROOT / "tests" / "seven_v1.json").read_text())["instances"] == [flat]
    assert json.loads((ROOT / "tests" / "seven_v2.json").read_text())["inputs"][0]["data"] == flat


@pytest.mark.parametrize(
    ("name", "prefix", "kind"),
    [("service/README.md", "DIGITS_", ServiceSettings), ("training/README.md", "DIGITS_GATE_", GateSettings)],
    ids=["service", "gate"],
)
def test_the_table_of_settings_is_the_settings(name, prefix, kind):
    rows = []
    for field_name, field in kind.model_fields.items():
        default = "none" if field.default in (None, ()) else f"`{field.default}`"
        rows.append(f"| `{prefix}{field_name.upper()}` | {default} | {field.description} |")
    assert re.findall(r"^\| `DIGITS_.*", TEXTS[name], re.MULTILINE) == rows


def test_the_network_of_the_readme_is_a_network(tmp_path):
    (listed,) = [code for _, code in blocks(TEXTS["training/README.md"]) if "layers = [" in code]
    (tmp_path / "net.toml").write_text(listed)
    assert shapes(LayerFile.read(tmp_path / "net.toml").layers)[-1] == (10,)


def test_the_recipe_of_the_readme_is_a_recipe(tmp_path):
    (listed,) = [code for language, code in blocks(TEXTS["training/README.md"]) if "distortion = " in code]
    (tmp_path / "recipe.toml").write_text(listed)
    assert Recipe.read(tmp_path / "recipe.toml") != Recipe()
    assert tomllib.loads(listed).keys() < set(Recipe.__struct_fields__)


@pytest.mark.parametrize("name", NAMES)
def test_links_and_images_lead_to_something(name):
    found = targets(TEXTS[name])
    assert len(found) > 2
    for target in found:
        if target.startswith("http://127.0.0.1:8000"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.resolve().is_relative_to(ROOT), target
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


@pytest.mark.parametrize("name", [*NAMES, "SECURITY.md", "CHANGELOG.md"])
def test_files_and_folders_that_are_named_in_prose_are_there(name):
    for code in inline_code((ROOT / name).read_text()):
        path = code.split()[0].rstrip("/")
        if re.fullmatch(r"(service|training|tests|k8s)/[\w./-]+", path):
            assert (ROOT / path).exists(), code


@pytest.mark.parametrize("name", [*NAMES, "SECURITY.md"])
def test_settings_that_are_named_are_settings(name):
    known = {f"DIGITS_{field.upper()}" for field in ServiceSettings.model_fields} | {"DIGITS_OPERATOR"}
    known |= {f"DIGITS_GATE_{field.upper()}" for field in GateSettings.model_fields}
    assert set(re.findall(r"\bDIGITS_[A-Z_]+", (ROOT / name).read_text())) <= known


def options_of(program: str, words: list[str]) -> set[str]:
    """Options of `python -m program`, or of the one of its commands that the words begin with."""
    command = get_command(importlib.import_module(f"{program}.__main__").app)
    for word in words:
        if word in getattr(command, "commands", ()):
            command = command.commands[word]
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("name", NAMES)
def test_commands_that_prose_names_are_there_and_have_their_options(name):
    for code in inline_code(TEXTS[name]):
        program, *words = code.removeprefix("python -m ").split()
        if program in ("training", "service"):
            assert {word for word in words if word.startswith("--")} <= options_of(program, words) | {"--help"}, code
        elif program == "make" and words:
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), code
        elif code.startswith("python -m "):
            assert importlib.util.find_spec(program), code


@pytest.mark.parametrize("path", sorted((ROOT / "training/drawings").glob("*.svg")), ids=lambda path: path.stem)
def test_drawings_are_for_light_and_dark_and_need_no_other_file(path):
    text = path.read_text()
    root = ElementTree.fromstring(text)
    assert int(root.attrib["width"]) <= 760
    assert root.attrib["viewBox"] == f"0 0 {root.attrib['width']} {root.attrib['height']}"
    assert [child.tag.rpartition("}")[2] for child in root][:2] == ["title", "desc"]
    assert "@media (prefers-color-scheme: dark)" in text
    assert "href" not in text
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
