"""Files that users write: what is no TOML, no JSON or no UTF-8 is said in one line that names the file."""

from pathlib import Path

import pytest

from training.errors import DigitsError
from training.network.layers import LayerError, LayerFile
from training.recipe import Recipe, RecipeError
from training.typed_file import read_typed

NET = 'layers = [{kind = "flatten"}, {kind = "dense", features = 10}]'


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.toml", b"\xff\xfe" + NET.encode("utf-16-le"), "is no text in UTF-8: byte 0xff at offset 0"),
        ("a.toml", b"layers = 'caf\xe9'", "is no text in UTF-8: byte 0xe9 at offset 13"),
        ("a.json", b"\xff\xfe{}", "is no text in UTF-8: byte 0xff at offset 0"),
        ("a.toml", b"layers = ", "is not valid TOML: Invalid value (at end of document)"),
        ("a.toml", b"layers = " + b"[" * 100_000, "is not valid TOML: it is nested too deeply"),
        ("a.json", b"", "is not valid JSON: it is empty"),
        ("a.json", b" \n", "is not valid JSON: it is empty"),
        ("a.json", b'{"layers": [', "is not valid JSON: Input data was truncated"),
        ("a.json", b'{"layers": nul}', "is not valid JSON: invalid character (byte 15)"),
        ("a.json", b'{"layers": [{"features": 1e400}]}', "is not valid JSON: Number out of range"),
        ("a.json", b'{"layers": ' + b"[" * 100_000, "is not valid JSON: it is nested too deeply"),
        ("a.json", b"[1]", "the content, want a table of fields"),
    ],
)
def test_what_cannot_be_parsed_is_said_in_one_line(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """`'utf-8' codec can't decode byte 0xff in position 0` was what users saw, and of 1e400 an UnboundLocalError."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DigitsError) as caught:
        read_typed(tmp_path / name, LayerFile, noun="list of layers", error=LayerError)
    assert str(caught.value) == f"{tmp_path / name}: {words}"


def test_the_mark_that_windows_editors_put_first_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text(NET, encoding="utf-8-sig")
    assert len(LayerFile.read(tmp_path / "net.toml").layers) == 2
    (tmp_path / "recipe.json").write_text('{"epochs": 3}', encoding="utf-8-sig")
    assert Recipe.read(tmp_path / "recipe.json").epochs == 3


def test_a_place_without_fields_names_none_that_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text('layers = [{kind = "flatten", features = 3}]')
    with pytest.raises(LayerError, match=r"there is no field features in layers\[0\], want none$"):
        LayerFile.read(tmp_path / "net.toml")


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "a.toml").mkdir()
    with pytest.raises(RecipeError, match=r"a\.toml cannot be read: Is a directory"):
        Recipe.read(tmp_path / "a.toml")
