"""The command predict: output, shards that are skipped, exit codes and error lines."""

import json
import re
import signal
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.commands import run
from tests.support.variants import publish_variant
from training.data.digits import Digits
from training.data.tabular import write_parquet
from training.prediction import parquet_rows
from training.store import Store

RAY_MISSING = "error: --engine ray wants the package ray: python -m pip install 'ray[data]'"


@pytest.fixture(scope="module")
def own(tmp_path_factory, few_digits):
    """A folder with digits in a table."""
    folder = tmp_path_factory.mktemp("own")
    write_parquet(folder / "in.parquet", few_digits.take(np.arange(700)))
    return folder / "in.parquet"


@pytest.fixture
def options(trained_store, tmp_path):
    return "--store", trained_store.path, "--model", "tiny"


def test_every_row_is_answered_and_a_line_says_how_many(own, options, few_digits, tmp_path):
    out = tmp_path / "out.parquet"
    code, said, err = run("predict", own, out, *options)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"\S+/out.parquet: 700 rows by tiny version 1, \d+\.\d% accepted, [\d,]+ rows/s\n", said)
    table = parquet.read_table(out)
    assert table["input_digit"].to_pylist() == few_digits.labels[:700].tolist()
    right = np.equal(table["digit"], table["input_digit"])
    assert right.mean() > 0.8
    assert right[table["accepted"].to_numpy()].mean() > right.mean()
    assert run("predict", own, out, *options)[::2] == (1, f"error: {out}: exists already; --force overwrites it")
    code, said, _ = run("predict", own, out, *options, "--force", "--json")
    found = json.loads(said)
    assert found.pop("seconds") > 0
    accepted = int(table["accepted"].to_numpy().sum())
    counts = {"rows": 700, "unread": 0, "accepted": accepted, "files": 1, "complete_before": 0}
    assert (code, found) == (0, {"model": "tiny", "version": 1, **counts})


def test_shards_in_one_command_and_in_several_are_the_whole_and_complete_ones_are_skipped(own, options, tmp_path):
    run("predict", own, tmp_path / "whole.parquet", *options)
    out = tmp_path / "out"
    assert run("predict", own, out, *options, "--shard", "1/3")[0] == 0
    first = (out / "part-00001-of-00003.parquet").stat()
    code, said, _ = run("predict", own, out, *options, "--shards", "3")
    assert code == 0
    assert re.search(r"/out: 1 of 3 shards were complete; 467 rows by tiny version 1, ", said)
    assert (out / "part-00001-of-00003.parquet").stat().st_mtime_ns == first.st_mtime_ns
    whole = parquet.read_table(tmp_path / "whole.parquet").replace_schema_metadata()
    parts = [parquet.read_table(file).replace_schema_metadata() for file in sorted(out.iterdir())]
    assert pa.concat_tables(parts).equals(whole)
    assert run("predict", own, out, *options, "--shards", "3")[:2] == (0, f"{out}: 3 of 3 shards were complete\n")
    code, said, _ = run("predict", own, out, *options, "--shards", "3", "--force", "--json")
    assert (json.loads(said)["files"], json.loads(said)["rows"]) == (3, 700)


def test_parts_of_another_version_or_number_of_shards_are_not_mixed(own, trained_store, tmp_path):
    store = Store(tmp_path / "store")
    store.publish(*trained_store.load("tiny", 1))
    publish_variant(store, "tiny", 0.5)
    options, out = ("--store", store.path, "--model", "tiny"), tmp_path / "out"
    assert run("predict", own, out, *options, "--shard", "0/2")[0] == 0
    part = out / "part-00000-of-00002.parquet"
    assert run("predict", own, out, *options, "--version", 2, "--shard", "1/2")[::2] == (
        1,
        f"error: {part}: was written for version 1, want 2; --force writes it anew",
    )
    for force in ((), ("--force",)):
        assert run("predict", own, out, *options, "--shards", 3, *force)[::2] == (
            1,
            f"error: {part}: is one of 2 shards, want 3: take another folder",
        )


def test_rows_that_cannot_be_read_are_named_up_to_ten(options, few_digits, tmp_path):
    pixels = few_digits.images[:30].astype(np.float32)
    pixels[5:17, 0, 0] = -1
    np.savez(tmp_path / "in.npz", images=pixels)
    code, said, err = run("predict", tmp_path / "in.npz", tmp_path / "out.parquet", *options)
    assert code == 0
    assert ": 30 rows by tiny version 1, " in said
    assert ", 12 not readable, " in said
    problems = [f"{tmp_path}/in.npz: row {row}: pixel0 is -1, want a number from 0 to 255" for row in range(5, 15)]
    assert err == " ".join([*problems, "and 2 other rows cannot be read"])
    code, _, err = run("predict", tmp_path / "in.npz", tmp_path / "strict.parquet", *options, "--strict")
    assert (code, err) == (1, f"error: {problems[0]}")
    assert not (tmp_path / "strict.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("in.parquet", "out", "--shards", 2, "--shard", "0/2"), 2, "want only one of them"),
        (
            ("in.parquet", "out.parquet", "--shards", 2),
            2,
            "out.parquet is a file, want a folder for the files of shards",
        ),
        (("in.parquet", "out", "--shard", "2/2"), 2, "the shard is '2/2', want I/N with 0 <= I < N, such as 0/16"),
        (("in.parquet", "out", "--engine", "ray"), 2, "Ray divides IN by shards, want --shards as well"),
        (("in.parquet", "out", "--engine", "ray", "--shards", 2), 1, RAY_MISSING),
        (("no.parquet", "out.parquet"), 1, "error: no.parquet: there is no such file or folder"),
        (("in.txt", "out.parquet"), 1, "error: in.txt: not a supported form, want .csv, .csv.gz, .parquet, .npz"),
        (("in.parquet", "no/out.parquet"), 1, "error: no/out.parquet: want a file in a folder that exists"),
        (("in.parquet", "no/out"), 1, "error: no/out: want a folder in a folder that exists"),
        (("in.parquet", "out.csv"), 1, "error: out.csv: want a folder, or a file that ends in .parquet"),
        (("in.parquet", "in.parquet", "--force"), 1, "error: in.parquet: is IN or inside it, want another place"),
        ((".", "."), 1, "error: .: is IN or inside it, want another place"),
        ((".", "out.parquet"), 1, "error: out.parquet: is IN or inside it, want another place"),
        (("in.parquet", "out", "--shards", 100_000), 2, "--shards"),
        (("in.parquet", "in.txt"), 1, "error: in.txt: is a file, want a folder, or a file that ends in .parquet"),
        (("in.parquet", "out.parquet", "--model", "tyni"), 1, "error: there is no model 'tyni' in the store"),
        (("in.parquet", "out.parquet", "--version", 7), 1, "error: there is no version '7' of tiny in the store"),
    ],
)
def test_what_is_refused_is_refused_in_one_line_before_anything_is_written(
    own, options, tmp_path, monkeypatch, arguments, code, text
):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "training.prediction.on_ray", raising=False)
    (tmp_path / "in.parquet").symlink_to(own)
    (tmp_path / "in.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    found = run("predict", *options, *arguments)
    assert found[0] == code
    assert text in found[2]
    left = sorted(path.name for path in tmp_path.rglob("*") if path.name != "out")
    assert left == ["in.parquet", "in.txt"]


def test_a_signal_ends_it_between_two_batches_and_the_same_command_goes_on(own, options, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "NUMBERS_AT_ONCE", 100)
    out, asked = tmp_path / "out", []

    def add_task(self, description, **options):
        asked.append(options["total"])
        return add(self, description, **options)

    from rich.progress import Progress

    add, update = Progress.add_task, Progress.update
    monkeypatch.setattr(Progress, "add_task", add_task)
    rows = []

    def counted(self, task, *, advance, speed):
        rows.append(advance)
        if sum(rows) == 450:  # in the second shard
            signal.raise_signal(signal.SIGTERM)
        update(self, task, advance=advance, speed=speed)

    monkeypatch.setattr(Progress, "update", counted)
    code, _, err = run("predict", own, out, *options, "--shards", 2)
    assert code == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; the same command goes on with the shards that are not complete" in err
    assert [path.name for path in out.iterdir()] == ["part-00000-of-00002.parquet"]
    assert asked == [700]
    monkeypatch.setattr(Progress, "update", update)
    assert "1 of 2 shards were complete; 350 rows" in run("predict", own, out, *options, "--shards", 2)[1]


def test_one_row_is_enough(options, few_digits, tmp_path):
    write_parquet(tmp_path / "in.parquet", Digits(few_digits.images[:1], few_digits.labels[:1]))
    code, _, err = run("predict", tmp_path / "in.parquet", tmp_path / "out", *options, "--shards", 2)
    assert (code, err) == (0, "")
    rows = [parquet.read_metadata(file).num_rows for file in sorted((tmp_path / "out").iterdir())]
    assert rows == [0, 1]
