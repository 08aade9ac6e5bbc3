"""Sources of rows: every form gives the same rows, from any row on, with the other columns; errors name the file."""

import io
import os
import struct

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import csv, parquet

from tests.support.digits import problem, some
from tests.support.idx import write_idx
from training.data.columns import PIXEL_NAMES
from training.data.tabular import write_csv, write_parquet
from training.prediction import csv_rows, folder_rows, idx_rows, npz_rows, parquet_rows
from training.prediction.source import open_source

N = 20
DIGITS = some(N)
MODULES = (csv_rows, folder_rows, idx_rows, npz_rows, parquet_rows)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Batches of 7 rows, so that a few rows are several batches."""
    for module in MODULES:
        for name in ("NUMBERS_AT_ONCE", "FILES_AT_ONCE"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, 7)


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def parquet_in_groups(path):
    write_parquet(path, DIGITS)
    parquet.write_table(parquet.read_table(path), path, row_group_size=3)


def parquet_folder(path):
    path.mkdir()
    write_parquet(path / "b.parquet", DIGITS.take(np.arange(13, N)))
    write_parquet(path / "a.parquet", DIGITS.take(np.arange(13)))
    (path / "_SUCCESS").write_text("")
    (path / ".c.parquet").write_text("left by a crash")


def idx(path):
    write_idx(path, DIGITS.images)
    write_idx(path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1")), DIGITS.labels)


NUMBERS = {
    "digits.csv": lambda path: write_csv(path, DIGITS),
    "digits.csv.gz": lambda path: write_csv(path, DIGITS),
    "digits.parquet": parquet_in_groups,
    "parts": parquet_folder,
    "digits.npz": lambda path: np.savez(path, images=DIGITS.images, digit=DIGITS.labels, name="no row"),
    "channel.npz": lambda path: np.savez(path, images=DIGITS.images[..., None], digit=DIGITS.labels),
    "packed.npz": lambda path: np.savez_compressed(path, images=DIGITS.images.reshape(N, 784), digit=DIGITS.labels),
    "my-images-idx3-ubyte": idx,
    "my-images-idx3-ubyte.gz": idx,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(("first", "stop"), [(0, None), (0, N), (5, 16), (7, 14), (13, None), (19, 20), (4, 4)])
def test_rows_of_numbers_are_read_from_any_row_on_in_every_form(tmp_path, name, first, stop):
    NUMBERS[name](tmp_path / name)
    source = open_source(tmp_path / name)
    assert (source.pictures, source.count()) == (False, N)
    assert source.rows == (None if ".csv" in name else N)
    assert source.kept.names == ["digit"]
    batches = [*source.read(first, stop)]
    assert all(len(batch.pixels) <= 7 for batch in batches)
    pixels = [batch.pixels.reshape(-1, 28, 28) for batch in batches]
    wanted = DIGITS.take(np.arange(first, N if stop is None else stop)) if first != stop else None
    if wanted is None:
        assert batches == []
        return
    np.testing.assert_array_equal(np.concatenate(pixels), wanted.images)
    assert [digit for batch in batches for digit in batch.kept["digit"].to_pylist()] == wanted.labels.tolist()


def test_a_folder_has_pictures_of_all_sub_folders_by_name(tmp_path):
    for name in ("b/2.png", "b/1.PNG", "a.jpeg", "c/d/e.tiff"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(DIGITS.images[0]).save(tmp_path / name)
    (tmp_path / "b" / ".hidden.png").write_text("")
    (tmp_path / "b" / "labels.txt").write_text("")
    source = open_source(tmp_path)
    assert (source.pictures, source.rows, source.count()) == (True, 4, 4)
    (batch,) = source.read(0, None)
    names = ["a.jpeg", "b/1.PNG", "b/2.png", "c/d/e.tiff"]
    assert batch.kept["path"].to_pylist() == names
    assert batch.files == [tmp_path / name for name in names]
    assert next(iter(source.read(1, 3))).kept["path"].to_pylist() == names[1:3]


def test_a_picture_whose_name_is_not_utf_8_is_read(tmp_path):
    Image.fromarray(DIGITS.images[0]).save(tmp_path / os.fsdecode(b"caf\xe9.png"), "PNG")
    (batch,) = open_source(tmp_path).read(0, None)
    assert batch.kept["path"].to_pylist() == ["caf\ufffd.png"]
    assert batch.files[0].exists()


@pytest.mark.parametrize("path", [True, False])
def test_parquet_of_hugging_face_has_picture_files_and_keeps_other_columns(tmp_path, path):
    files = [png(image) for image in DIGITS.images]
    images = [{"bytes": file} | ({"path": f"{row}.png"} if path else {}) for row, file in enumerate(files)]
    images[3] = None
    table = pa.table({"id": range(N), "image": images, "label": DIGITS.labels})
    parquet.write_table(table, tmp_path / "hf.parquet", row_group_size=8)
    source = open_source(tmp_path / "hf.parquet")
    assert (source.pictures, source.rows) == (True, N)
    assert source.kept.names == ["id", "label", *(["image.path"] if path else [])]
    batches = [*source.read(2, 15)]
    assert [len(batch.files) for batch in batches] == [7, 6]
    assert [file for batch in batches for file in batch.files] == [files[2], None, *files[4:15]]
    assert [row for batch in batches for row in batch.kept["id"].to_pylist()] == [*range(2, 15)]
    if path:
        assert batches[0].kept["image.path"].to_pylist()[:3] == ["2.png", None, "4.png"]


def test_arrays_of_one_value_a_row_are_kept_and_others_are_not(tmp_path):
    arrays = {
        "labels": DIGITS.labels.astype(">i4"),
        "names": np.array([f"picture {row}" for row in range(N)]),
        "embedding": np.zeros((N, 5)),
        "other": np.zeros(N + 1),
    }
    np.savez(tmp_path / "a.npz", images=DIGITS.images, **arrays)
    source = open_source(tmp_path / "a.npz")
    assert source.kept == pa.schema([("labels", pa.int32()), ("names", pa.string())])
    kept = pa.concat_tables([batch.kept for batch in source.read(5, None)])
    assert kept["labels"].to_pylist() == DIGITS.labels[5:].tolist()
    assert kept["names"].to_pylist() == [f"picture {row}" for row in range(5, N)]


def test_an_empty_cell_is_no_number(tmp_path):
    columns = dict.fromkeys(PIXEL_NAMES, pa.array([0, 255], pa.uint8())) | {"pixel5": pa.array([7, None], pa.uint8())}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    csv.write_csv(pa.table(columns), tmp_path / "a.csv")
    for name in ("a.parquet", "a.csv"):
        (batch,) = open_source(tmp_path / name).read(0, None)
        np.testing.assert_array_equal(batch.pixels[:, 5], [7, np.nan])


def test_pixels_are_found_under_the_names_that_they_have_in_own_digits(tmp_path):
    pixels = {f"pixel{index}": pa.array([index % 256], pa.uint8()) for index in range(1, 785)}
    content = pa.table({"class": ["5"], **pixels})
    parquet.write_table(content, tmp_path / "a.parquet")
    csv.write_csv(content, tmp_path / "a.csv")
    for name in ("a.parquet", "a.csv"):
        source = open_source(tmp_path / name)
        assert (source.kept.names, source.count()) == (["class"], 1)
        (batch,) = source.read(0, None)
        assert batch.pixels.ravel().tolist() == [index % 256 for index in range(1, 785)]


def test_a_csv_without_commas_is_told_in_one_short_line(tmp_path):
    (tmp_path / "a.csv").write_text(";".join(PIXEL_NAMES) + "\n" + ";".join(["0,5"] * 784) + "\n")
    assert problem(lambda: open_source(tmp_path / "a.csv")) == (
        f"{tmp_path / 'a.csv'}: columns are separated by ';', want ','"
    )


def table_without(name):
    return pa.table({of: pa.array([1], pa.uint8()) for of in PIXEL_NAMES if of != name})


def npz(path, **arrays):
    np.savez(path, **arrays)


WRONG = {
    "a.csv": (
        lambda path: csv.write_csv(table_without("pixel3"), path),
        "a.csv: missing: pixel3; want the columns pixel0 … pixel783",
    ),
    "b.parquet": (
        lambda path: parquet.write_table(table_without("pixel3"), path),
        "b.parquet: missing: pixel3; want the columns pixel0 … pixel783",
    ),
    "c.parquet": (
        lambda path: parquet.write_table(table_without("pixel3").append_column("pixel3", pa.array(["x"])), path),
        "c.parquet: column pixel3 holds string, want numbers",
    ),
    "d.parquet": (lambda path: path.write_text("no"), "d.parquet: not a readable Parquet file: "),
    "e.npz": (lambda path: path.write_text("no"), "e.npz: not a readable .npz file: File is not a zip file"),
    "f.npz": (lambda path: npz(path, pixels=DIGITS.images), "f.npz: holds pixels, want images"),
    "g.npz": (
        lambda path: npz(path, images=DIGITS.images[:, :5]),
        "g.npz: images have shape [20, 5, 28], want [n, 784], [n, 28, 28] or [n, 28, 28, 1]",
    ),
    "h.npz": (lambda path: npz(path, images=DIGITS.images > 5), "h.npz: images are bool, want numbers"),
    "i.npz": (
        lambda path: npz(path, images=np.asfortranarray(DIGITS.images)),
        "i.npz: images lie in the file column by column (Fortran order), want row by row",
    ),
    "j.npz": (
        lambda path: npz(path, images=np.array([[1], "x"], object)),
        "j.npz: images have shape [2], want [n, 784], [n, 28, 28] or [n, 28, 28, 1]",
    ),
    "k-images-idx3-ubyte": (
        lambda path: path.write_bytes(struct.pack(">2xBB3I", 8, 3, 2, 28, 27)),
        "k-images-idx3-ubyte: images have shape [2, 28, 27], want [n, 784], [n, 28, 28] or [n, 28, 28, 1]",
    ),
    "l-images-idx3-ubyte": (lambda path: path.write_bytes(b"PK\3\4"), "l-images-idx3-ubyte: begins with 50 4b 03 04"),
    "m.xlsx": (lambda path: path.write_text("x"), "m.xlsx: not a supported form, want .csv, .csv.gz, .parquet, .npz"),
    "n": (lambda path: path.mkdir(), "n: holds no pictures (.png, .jpg"),
    "o.npz": (lambda path: None, "o.npz: there is no such file or folder"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_file_and_what_is_wrong(tmp_path, name):
    write, text = WRONG[name]
    write(tmp_path / name)
    assert problem(lambda: open_source(tmp_path / name)).startswith(f"{tmp_path}/{text}")


def test_parquet_files_of_a_folder_have_the_same_columns(tmp_path):
    write_parquet(tmp_path / "a.parquet", DIGITS)
    parquet.write_table(table_without("none"), tmp_path / "b.parquet")
    assert problem(lambda: open_source(tmp_path)) == (
        f"{tmp_path}/b.parquet: has other columns than {tmp_path}/a.parquet, want the same, of the same types"
    )


def test_files_that_end_too_early_are_found_while_they_are_read(tmp_path):
    images = tmp_path / "my-images-idx3-ubyte"
    write_idx(images, DIGITS.images)
    images.write_bytes(images.read_bytes()[:-5000])
    assert problem(lambda: [*open_source(images).read(0, None)]) == (
        f"{images}: truncated: 13 images, want 20 by its header"
    )
    packed = tmp_path / "other-images-idx3-ubyte.gz"
    write_idx(packed, DIGITS.images)
    packed.write_bytes(packed.read_bytes()[:-500])
    assert problem(lambda: [*open_source(packed).read(0, None)]).startswith(f"{packed}: corrupt gzip: ")


def test_a_word_in_a_csv_file_is_named_by_row_and_column(tmp_path):
    write_csv(tmp_path / "a.csv", DIGITS)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    lines[15] = ",".join(["3", "two", *lines[15].split(",")[2:]])
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert problem(lambda: [*open_source(tmp_path / "a.csv").read(0, None)]) == (
        f"{tmp_path}/a.csv: row 14, pixel0 is 'two', want a number"
    )


def with_column(name, values, breaks=()):
    """CSV of DIGITS with another column, and blank lines before some rows."""
    rows = [f"{name},{','.join(PIXEL_NAMES)}"]
    for row, (value, image) in enumerate(zip(values, DIGITS.images, strict=True)):
        rows += [""] * breaks.count(row) + [f"{value},{','.join(map(str, image.ravel().tolist()))}"]
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("end", ["", "\n\n"])
@pytest.mark.parametrize("first", [1, 3, 4, 9, 10, 19])
def test_blank_lines_and_line_breaks_in_cells_move_no_row_of_a_csv_file(tmp_path, first, end):
    notes = [f'"{row}\n\n!"' if row in (2, 8, 9) else f"{row}" for row in range(N)]
    (tmp_path / "a.csv").write_text(with_column("note", notes, breaks=(0, 3, 9, 9)) + end)
    source = open_source(tmp_path / "a.csv")
    assert source.count() == N
    kept = pa.concat_tables([batch.kept for batch in source.read(first, first + 1)])
    assert kept["note"].to_pylist() == [notes[first].strip('"')]
    np.testing.assert_array_equal(next(iter(source.read(first, None))).pixels[0], DIGITS.images[first].ravel())


def test_other_columns_of_a_csv_file_are_text_as_it_is_there_but_for_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "BLOCK_BYTES", 20_000)  # some rows, by which pyarrow would infer types
    for values in (
        [f"{row:03}" for row in range(N)],
        ["" if row < 15 else "late" for row in range(N)],
        ["1" if row < 15 else "1.50" for row in range(N)],
        [f'"{row}\n{"x" * 3000}"' for row in range(N)],
    ):
        (tmp_path / "a.csv").write_text(with_column("id", values))
        source = open_source(tmp_path / "a.csv")
        for first in (0, 13):
            kept = pa.concat_tables([batch.kept for batch in source.read(first, None)])
            assert kept["id"].to_pylist() == [value.strip('"') for value in values[first:]]
    for values, kind in ((range(N), pa.int64()), (["seven"] * N, pa.string()), ([""] * N, pa.string())):
        (tmp_path / "a.csv").write_text(with_column("label", values))
        assert open_source(tmp_path / "a.csv").kept == pa.schema([("label", kind)])
