"""Jobs of bulk prediction: columns and rows of the output, shards, resuming, files that appear whole or not at all."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from tests.support.digits import problem
from tests.support.fake_predictor import FakePredictor, picture
from training.answers import Answers
from training.data.digits import Digits
from training.data.tabular import write_parquet
from training.prediction import npz_rows, part
from training.prediction.job import Done, Job, OpenJob
from training.prediction.shard import Shard
from training.reading import read_digit

N = 50
IMAGES = np.stack([picture(row % 10, 100 + row) for row in range(N)])
ALL = Shard(0, 1)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Digits in a file, in batches of 8, for FakePredictor."""
    monkeypatch.setattr(npz_rows, "NUMBERS_AT_ONCE", 8)
    np.savez(tmp_path / "in.npz", images=IMAGES, name=np.array([f"row {row}" for row in range(N)]))
    return Job(tmp_path / "in.npz", "lenet", 3, 255.0, None, workers=1, strict=False)


def run(job, out, shard=ALL, predictor=None, **options):
    return OpenJob(job).run(predictor or FakePredictor(), shard, out, **options)


def test_the_output_has_the_other_columns_of_the_input_and_the_answers(job, tmp_path):
    assert run(job, tmp_path / "out.parquet") == Done(rows=N, unread=0, accepted=40)
    table = parquet.read_table(tmp_path / "out.parquet")
    kinds = {
        "name": "string",
        "digit": "uint8",
        "confidence": "float",
        **{f"probability{digit}": "float" for digit in range(10)},
        "accepted": "bool",
        "reason": "string",
        "model": "string",
        "version": "int32",
    }
    assert {field.name: str(field.type) for field in table.schema} == kinds
    assert table["name"].to_pylist() == [f"row {row}" for row in range(N)]
    assert table["digit"].to_pylist() == [row % 10 for row in range(N)]
    probabilities = FakePredictor()(IMAGES)
    for digit in range(10):
        np.testing.assert_array_equal(table[f"probability{digit}"], probabilities[:, digit])
    np.testing.assert_array_equal(table["confidence"], probabilities.max(axis=1))
    reasons = {8: "uncertain", 9: "not_a_digit"}
    assert table["reason"].to_pylist() == [reasons.get(row % 10) for row in range(N)]
    assert table["accepted"].to_pylist() == [row % 10 < 8 for row in range(N)]
    assert set(table["model"].to_pylist()) == {"lenet"}
    assert set(table["version"].to_pylist()) == {3}


def test_a_column_that_an_answer_has_too_is_kept_under_another_name(tmp_path):
    write_parquet(tmp_path / "in.parquet", Digits(IMAGES, np.arange(N, dtype=np.uint8) % 7))
    table = parquet.read_table(tmp_path / "in.parquet").append_column("input_digit", pa.array(["x"] * N))
    parquet.write_table(table, tmp_path / "in.parquet")
    run(Job(tmp_path / "in.parquet", "lenet", 3, 255.0, None, 1, strict=False), tmp_path / "out.parquet")
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.schema.names[:3] == ["input_input_digit", "input_digit", "digit"]
    assert found["input_input_digit"].to_pylist() == [row % 7 for row in range(N)]
    assert found["input_digit"].to_pylist() == ["x"] * N


@pytest.mark.parametrize("shards", [1, 3, 7, 60])
def test_the_shards_in_their_order_are_the_whole_row_for_row(job, tmp_path, shards):
    run(job, tmp_path / "whole.parquet")
    whole = parquet.read_table(tmp_path / "whole.parquet")
    parts = [Shard(index, shards) for index in range(shards)]
    for shard in parts:
        run(job, shard.file(tmp_path), shard)
    found = pa.concat_tables([parquet.read_table(shard.file(tmp_path)).replace_schema_metadata() for shard in parts])
    assert found.equals(whole.replace_schema_metadata())


def test_a_shard_is_complete_for_the_same_job_and_refused_for_another(job, tmp_path):
    shard, other = Shard(1, 2), Shard(0, 2)
    file = shard.file(tmp_path)
    assert not OpenJob(job).is_complete(shard, file)
    run(job, file, shard)
    assert OpenJob(job).is_complete(shard, file)
    assert not OpenJob(job).is_complete(other, other.file(tmp_path))
    for changes, text in (
        ({"trained_at": "today"}, "was written for trained_at , want today"),
        ({"version": 4}, "was written for version 3, want 4"),
        ({"model": "mlp"}, "was written for model lenet, want mlp"),
        ({"scale": 300.0}, "was written for scale 255.0, want 300.0"),
        ({"ink": "black"}, "was written for ink None, want black"),
    ):
        for of in (shard, other):  # the other one is not there: its answers would stand beside those of another job
            found = problem(
                lambda of=of, changes=changes: OpenJob(replace(job, **changes)).is_complete(of, of.file(tmp_path))
            )
            assert found == f"{file}: {text}; --force writes it anew"
    part.check_folder(tmp_path, 2)
    assert problem(lambda: part.check_folder(tmp_path, 3)) == f"{file}: is one of 2 shards, want 3: take another folder"
    file.rename(other.file(tmp_path))
    assert problem(lambda: OpenJob(job).is_complete(other, other.file(tmp_path))) == (
        f"{other.file(tmp_path)}: holds the shard 1/2, want 0/2; --force writes it anew"
    )
    other.file(tmp_path).write_text("no")
    assert "exists already and is not readable" in problem(
        lambda: OpenJob(job).is_complete(other, other.file(tmp_path))
    )
    parquet.write_table(pa.table({"a": [1]}), other.file(tmp_path))
    assert problem(lambda: OpenJob(job).is_complete(other, other.file(tmp_path))) == (
        f"{other.file(tmp_path)}: exists already and was not written by this command; --force writes it anew"
    )


def test_a_shard_of_an_input_that_was_changed_is_refused(job, tmp_path):
    shard = Shard(1, 2)
    file = shard.file(tmp_path)
    run(job, file, shard)
    np.savez(job.source, images=255 - IMAGES, name=np.array([f"row {row}" for row in range(N)]))
    found = problem(lambda: OpenJob(job).is_complete(shard, file))
    assert re.fullmatch(rf"{file}: was written for content \S+, want \S+; --force writes it anew", found)


def test_a_shard_of_a_folder_is_refused_when_a_picture_has_another_name_or_content(tmp_path, monkeypatch):
    (tmp_path / "in" / "a").mkdir(parents=True)
    pictures = [tmp_path / "in" / name for name in ("0.png", "a/1.png")]
    for row, path in enumerate(pictures):
        Image.fromarray(IMAGES[row]).save(path)
    job, file = Job(tmp_path / "in", "lenet", 3, 255.0, None, 1, strict=False), tmp_path / "out.parquet"
    run(job, file)
    assert OpenJob(job).is_complete(ALL, file)
    other = pictures[1].rename(tmp_path / "in" / "a" / "2.png")
    assert "was written for content" in problem(lambda: OpenJob(job).is_complete(ALL, file))
    other.rename(pictures[1])
    assert OpenJob(job).is_complete(ALL, file)
    monkeypatch.chdir(tmp_path / "in")
    assert OpenJob(replace(job, source=Path())).is_complete(ALL, file)
    Image.fromarray(IMAGES[5]).save(pictures[0])
    assert "was written for content" in problem(lambda: OpenJob(job).is_complete(ALL, file))


def test_an_interrupted_shard_is_not_there_and_what_a_killed_process_left_is_removed(job, tmp_path):
    shard = Shard(0, 2)
    left = tmp_path / ".0a1b2c3d-part-00000-of-00002.parquet"
    of_another = tmp_path / ".0a1b2c3d-part-00001-of-00002.parquet"
    for file in (left, of_another):
        file.write_text("half")
    seen = []

    def watch(rows):
        seen.append(rows)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, shard.file(tmp_path), shard, watch=watch)
    assert seen == [8, 8, 8]
    assert sorted(path.name for path in tmp_path.iterdir()) == [of_another.name, "in.npz"]


def test_row_groups_are_written_as_the_rows_come(job, tmp_path, monkeypatch):
    monkeypatch.setattr(part, "ROWS_TOGETHER", 20)
    run(job, tmp_path / "out.parquet")
    metadata = parquet.read_metadata(tmp_path / "out.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [24, 24, 2]
    monkeypatch.setattr(part, "BYTES_TOGETHER", 1)
    run(job, tmp_path / "out.parquet")
    assert parquet.read_metadata(tmp_path / "out.parquet").num_row_groups == 7


def test_a_part_says_what_was_read_and_who_answered(job, tmp_path):
    run(job, tmp_path / "out.parquet")
    said = json.loads(parquet.read_schema(tmp_path / "out.parquet").metadata[b"digits"])
    facts = {"input": "in.npz", "rows": N, "scale": 255.0, "ink": None, "model": "lenet", "version": 3}
    assert re.fullmatch("[0-9a-f]{16}", said.pop("content"))
    assert said == facts | {"trained_at": "", "shards": 1, "shard": "0/1"}


def with_wrong_rows(tmp_path):
    pixels = IMAGES.astype(np.float32).reshape(N, 784)
    pixels[[3, 20], 5] = 300
    np.savez(tmp_path / "wrong.npz", images=pixels)
    return Job(tmp_path / "wrong.npz", "lenet", 3, 255.0, None, workers=1, strict=False)


def test_rows_that_cannot_be_read_have_no_digit_and_a_reason_and_are_named(tmp_path):
    told = []
    done = run(with_wrong_rows(tmp_path), tmp_path / "out.parquet", tell=told.append)
    assert (done.rows, done.unread) == (N, 2)
    text = "pixel5 is 300, want a number from 0 to 255"
    assert told == [f"{tmp_path}/wrong.npz: row {row}: {text}" for row in (3, 20)]
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    empty = dict.fromkeys(("digit", "confidence", *(f"probability{digit}" for digit in range(10))))
    assert rows[3] == rows[20] == {**empty, "accepted": False, "reason": text, "model": "lenet", "version": 3}
    assert [row["digit"] for row in rows if row["digit"] is not None] == [
        row % 10 for row in range(N) if row not in (3, 20)
    ]


def test_strict_ends_at_the_first_row_that_cannot_be_read_and_writes_nothing(tmp_path):
    job = replace(with_wrong_rows(tmp_path), strict=True)
    wanted = f"{tmp_path}/wrong.npz: row 20: pixel5 is 300, want a number from 0 to 255"
    shard = Shard(1, 4)
    assert problem(lambda: run(job, shard.file(tmp_path), shard)) == wanted
    assert not shard.file(tmp_path).exists()


def test_answers_that_are_not_finite_are_no_answers(job, tmp_path):
    predictor = FakePredictor()
    predictor.nan = 4
    assert run(job, tmp_path / "out.parquet", predictor=predictor) == Done(rows=N, unread=5, accepted=35)
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert (rows[4]["digit"], rows[4]["reason"]) == (None, "the answer is not finite")


def test_a_version_without_limits_says_nothing_about_accepting(job, tmp_path):
    predictor = FakePredictor()
    predictor.read = lambda columns: Answers(columns, judged=False)
    assert run(job, tmp_path / "out.parquet", predictor=predictor).accepted == 0
    table = parquet.read_table(tmp_path / "out.parquet")
    assert (table["accepted"].null_count, table["reason"].null_count, table["digit"].null_count) == (N, N, 0)


def test_pictures_of_any_size_get_the_verdict_of_the_service(trained_store, few_digits, tmp_path):
    from training.picture import find_line, levels
    from training.predictor import Predictor

    predictor = Predictor.load(trained_store, "tiny", row_sizes=[64])
    for row in range(6):
        small = Image.fromarray(few_digits.images[row])
        (small if row % 2 else small.resize((280, 280))).save(tmp_path / f"{row}.png")
    job = Job(tmp_path, "tiny", 1, 255.0, None, workers=1, strict=False)
    (tmp_path / "x.png").write_bytes(b"no")
    told = []
    out = tmp_path.parent / f"{tmp_path.name}.parquet"
    assert run(job, out, predictor=predictor, tell=told.append).unread == 1
    assert told == [f"{tmp_path}: row 6 (x.png): not a readable picture, want PNG, JPEG, WebP, GIF, BMP or TIFF"]
    for row, found in enumerate(parquet.read_table(out).to_pylist()[:6]):
        if row % 2:
            wanted = predictor.columns(few_digits.images[[row]])[0]
        else:
            line = find_line(levels(Image.open(io.BytesIO((tmp_path / f"{row}.png").read_bytes()))))
            wanted = read_digit(line, predictor.read(predictor.columns(line.images))).answers.columns[0]
        assert found["path"] == f"{row}.png"
        assert [found[f"probability{digit}"] for digit in range(10)] == pytest.approx(wanted[:10].tolist())
        reason = (None, "uncertain", "not_a_digit", "unclear_picture", "several_digits")[int(wanted[-1])]
        assert (found["digit"], found["reason"]) == (int(wanted[14]), reason)


def test_an_input_with_a_repeated_column_is_refused(tmp_path):
    table = pa.table([pa.array([1])] * 2, names=["id", "id"])
    pixels = {f"pixel{index}": pa.array([1], pa.uint8()) for index in range(784)}
    for name, column in pixels.items():
        table = table.append_column(name, column)
    parquet.write_table(table, tmp_path / "in.parquet")
    job = Job(tmp_path / "in.parquet", "lenet", 3, 255.0, None, 1, strict=False)
    assert problem(lambda: OpenJob(job)) == "the input has several columns id, want different names"


def test_the_predictor_computes_one_batch_size_the_largest_of_the_device(job, tmp_path, monkeypatch):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    sizes = []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr("jax.default_backend", lambda backend=backend: backend)
        sizes += [OpenJob(of).row_size for of in (job, replace(job, source=tmp_path))]
    assert sizes == [256, 64, 4096, 64]
