"""`python -m training data`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from training import mnist
from training.commands.data import app
from training.data.digits import Digits
from training.data.load import load
from training.data.tabular import write_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A small Parquet file of one's own: thirty digits, every class three times."""
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
    write_parquet(tmp_path / "mine.parquet", Digits(images, np.arange(30, dtype=np.uint8) % 10))
    return tmp_path / "mine.parquet"


def test_help_loads_neither_numpy_nor_pyarrow_nor_pillow() -> None:
    program = (
        "import sys; from training.commands.data import app\n"
        "try: app(['export', '--help'])\n"
        "except SystemExit: print([name for name in ('numpy', 'pyarrow', 'PIL', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["verify", "export", "show"])
def test_every_command_shows_an_example(command: str) -> None:
    assert f"Example:  python -m training data {command}" in run(command, "--help").output


def test_verify_is_content_with_the_bundled_files() -> None:
    done = run("verify")
    assert done.exit_code == 0
    assert done.output.count("good") == 4


def test_verify_json_says_what_was_found_and_wanted(tmp_path: Path) -> None:
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"x")
    done = run("verify", "--json", "--folder", tmp_path)
    assert done.exit_code == 1
    assert [check["state"] for check in json.loads(done.stdout)] == ["missing", "missing", "missing", "wrong hash"]
    assert json.loads(done.stdout)[3]["wanted"] == mnist.HASHES["t10k-labels-idx1-ubyte.gz"]


def test_export_writes_the_test_set_as_parquet(tmp_path: Path) -> None:
    out = tmp_path / "test.parquet"
    done = run("export", "--split", "test", out)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{out}: 10,000 digits, ")
    assert load(out).sha256 == mnist.test().sha256


def test_export_turns_ones_own_digits_into_csv(mine: Path, tmp_path: Path) -> None:
    assert run("export", "--data", mine, "--format", "csv", tmp_path / "mine.csv").exit_code == 0
    assert load(tmp_path / "mine.csv").sha256 == load(mine).sha256


def test_a_file_that_exists_is_overwritten_only_by_force(mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("precious")
    done = run("export", "--data", mine, out)
    assert done.exit_code == 1
    assert done.stderr == f"error: {out}: exists already; --force overwrites it\n"
    assert out.read_text() == "precious"
    assert run("export", "--data", mine, out, "--force").exit_code == 0
    assert out.read_text().startswith("digit,pixel0,")


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "out.txt"),
        ("export", "out.csv", "--format", "xlsx"),
        ("export", "out.csv", "--scale", "1"),
        ("export", "out.csv", "--ink", "black"),
        ("export", "out.csv", "--split", "test", "--data", "mine.csv"),
        ("show", "out.jpg"),
        ("show", "out.png", "--digit", "10"),
        ("show", "out.png", "--count", "0"),
    ],
)
def test_misuse_ends_with_code_2(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_bad_data_is_one_line_on_stderr_and_code_1(tmp_path: Path) -> None:
    bad = tmp_path / "a [bold] name.csv"
    bad.write_text("label\n5\n")
    done = run("export", "--data", bad, tmp_path / "out.csv")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"error: {bad}: missing: pixel0, pixel1, pixel2 and 781 more; want the columns label, pixel0 … pixel783\n"
    )
    assert not (tmp_path / "out.csv").exists()


def test_what_the_borders_of_pictures_say_is_told_on_stderr(tmp_path: Path) -> None:
    folder = tmp_path / "digits" / "5"
    folder.mkdir(parents=True)
    digit = mnist.train().images[0]
    Image.fromarray(255 - digit).save(folder / "a.png")
    Image.fromarray(digit).save(folder / "b.png")
    done = run("export", "--data", folder.parent, tmp_path / "out.csv")
    assert done.exit_code == 0
    assert "1 of 2 pictures are taken for dark on light and 1 for light on dark" in done.stderr
    done = run("export", "--data", folder.parent, "--ink", "white", tmp_path / "stated.csv")
    assert done.exit_code == 0
    assert "borders" not in done.stderr


def test_a_missing_folder_for_the_output_is_noticed_first(tmp_path: Path) -> None:
    out = tmp_path / "missing" / "out.csv"
    assert run("export", out).stderr == f"error: {out}: want a file in a folder that exists\n"


def test_show_draws_the_digits_asked_for(mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    done = run("show", out, "--data", mine, "--digit", 4, "--digit", 9, "--columns", 3, "--zoom", 2)
    assert done.stdout == f"{out}: 6 digits\n"
    with Image.open(out) as picture:
        assert picture.size == (3 * 62 + 6, 2 * 78 + 6)


def test_show_with_a_seed_is_another_choice_and_the_same_every_time(mine: Path, tmp_path: Path) -> None:
    for name, arguments in {"first": (), "a": ("--seed", 1), "b": ("--seed", 1), "c": ("--seed", 2)}.items():
        assert run("show", tmp_path / f"{name}.png", "--data", mine, "--count", 5, *arguments).exit_code == 0
    first, a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in ("first", "a", "b", "c"))
    assert a == b
    assert len({first, a, c}) == 3


def test_show_says_when_a_digit_is_not_there(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", Digits(np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)))
    done = run("show", tmp_path / "out.png", "--data", tmp_path / "x.parquet", "--digit", 4)
    assert done.stderr == "error: there is no digit 4 among the 2\n"


def test_show_augment_draws_the_same_digits_distorted(tmp_path):
    for name, options in (("plain", ()), ("one", ("--augment",)), ("other", ("--augment", "--seed", 7))):
        done = run("show", tmp_path / f"{name}.png", "--count", 12, *options)
        assert done.exit_code == 0, done.output
    pictures = {(tmp_path / f"{name}.png").read_bytes() for name in ("plain", "one", "other")}
    assert len(pictures) == 3


def test_a_broken_picture_is_named_and_left_out_unless_strict(tmp_path: Path) -> None:
    for name in range(13):
        path = tmp_path / "own" / "3" / f"{name:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no picture")
    Image.fromarray(mnist.test().images[0]).save(path)
    done = run("export", tmp_path / "own.csv", "--data", tmp_path / "own")
    assert (done.exit_code, done.stdout.count("1 digits")) == (0, 1)
    assert done.stderr.count("not a readable picture") == 10
    assert "and 2 other pictures cannot be read" in done.stderr
    done = run("export", tmp_path / "strict.csv", "--data", tmp_path / "own", "--strict")
    assert (done.exit_code, done.stderr.count("not a readable picture")) == (1, 1)
    assert "00.png" in done.stderr
