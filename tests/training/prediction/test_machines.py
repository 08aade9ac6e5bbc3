"""Shards on several machines, as processes of this one: an Indexed Job and Ray write the rows of one command."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from tests.support.compiled import SHARING
from tests.support.project import ROOT
from training.data.tabular import write_parquet

TIMEOUT_S = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory, few_digits):
    """A folder with digits in a table."""
    folder = tmp_path_factory.mktemp("pictures")
    write_parquet(folder / "in.parquet", few_digits.take(np.arange(700)))
    return folder


def started(python, *arguments, store, **variables):
    """A process of `python -m training …`, with the store and the model of tests."""
    given = {"DIGITS_STORE": str(store.path), "DIGITS_MODEL": "tiny", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [str(python), "-m", "training", *map(str, arguments)],
        env=os.environ | SHARING | given | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """Exit code, stdout and stderr."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err


def rows_of(folder):
    """All rows of the files of a folder, in the order of their names."""
    files = sorted(folder.iterdir())
    return pa.concat_tables([parquet.read_table(file).replace_schema_metadata() for file in files])


@pytest.fixture(scope="module")
def whole(folder, trained_store):
    """The rows that one command writes into one file."""
    out = folder / "whole.parquet"
    assert ended(started(sys.executable, "predict", folder / "in.parquet", out, store=trained_store))[0] == 0
    return parquet.read_table(out).replace_schema_metadata()


@pytest.mark.slow
def test_pods_of_the_indexed_job_write_the_rows_of_one_command(folder, trained_store, whole):
    (container,) = yaml.safe_load((ROOT / "k8s/overlays/predict/job.yaml").read_text())["spec"]["template"]["spec"][
        "containers"
    ]
    pods = []
    for index in range(3):
        command = [
            word.replace("/pictures/", f"{folder}/").replace("$(SHARD)/16", f"{index}/3")
            for word in container["command"]
        ]
        assert command[:3] == ["python", "-m", "training"]
        pods.append(started(sys.executable, *command[3:], "--model=tiny", store=trained_store))
    for pod in pods:
        code, _, err = ended(pod)
        assert code == 0, err
    assert rows_of(folder / "answers").equals(whole)


def test_ray_writes_the_rows_of_one_command_and_skips_complete_shards(ray_python, folder, trained_store, whole):
    asked = ("predict", folder / "in.parquet", folder / "ray", "--shards", 3)
    assert ended(started(sys.executable, *asked[:3], "--shard", "1/3", store=trained_store))[0] == 0
    code, out, err = ended(started(ray_python, *asked, "--engine", "ray", store=trained_store))
    assert code == 0, err
    assert "1 of 3 shards were complete; 467 rows by tiny version 1, " in out
    assert rows_of(folder / "ray").equals(whole)


def test_what_goes_wrong_in_an_actor_of_ray_is_one_line(ray_python, trained_store, few_digits, tmp_path):
    pixels = few_digits.images[:20].astype(np.float32)
    pixels[7, 0, 0] = 300
    np.savez(tmp_path / "in.npz", images=pixels)
    asked = ("predict", tmp_path / "in.npz", tmp_path / "out", "--shards", 2, "--engine", "ray", "--strict")
    code, _, err = ended(started(ray_python, *asked, store=trained_store))
    wanted = f"error: {tmp_path}/in.npz: row 7: pixel0 is 300, want a number from 0 to 255"
    ours = [line for line in err.splitlines() if line and not line.startswith("[")]  # Ray says what its log level is
    assert (code, ours) == (1, [wanted])
