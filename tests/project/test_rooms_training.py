"""The rooms of training/: what each one may import, without a circle and without an arrow upwards."""

import ast

import pytest

from tests.support.project import ROOT

ROOMS = {
    "errors": set(),
    "images": {"errors"},
    "answers": {"images"},
    "drift": {"answers", "images"},
    "picture": {"errors", "images"},
    "filesystem": set(),
    "typed_file": set(),
    "processors": set(),
    "settings": set(),
    "uncertainty": {"answers", "images"},
    "network": {"answers", "errors", "filesystem", "images", "processors", "typed_file", "uncertainty"},
    "recipe": {"errors", "network", "typed_file"},
    "distributed": {"errors", "filesystem", "processors"},
    "store": {
        *("answers", "drift", "errors", "filesystem", "images"),
        *("uncertainty", "network", "recipe", "distributed"),
    },
    "predictor": {"answers", "drift", "images", "uncertainty", "network", "store"},
    "data": {"errors", "images", "picture"},
    "mnist": {"data"},
    "corrections": {"errors", "filesystem", "images"},
    "evaluation": {"answers", "drift", "errors", "images", "picture", "store", "predictor", "data"},
    "fitting": {
        *("answers", "drift", "errors", "filesystem", "images"),
        *("uncertainty", "network", "recipe", "distributed", "store", "data", "evaluation"),
    },
    "estimator": {"images", "network", "recipe", "data", "fitting"},
    "retraining": {
        *("errors", "filesystem", "images"),
        *("network", "recipe", "store", "data", "evaluation", "fitting"),
    },
    "report": {
        *("answers", "images"),
        *("uncertainty", "network", "recipe", "store", "predictor", "data", "mnist", "evaluation", "fitting"),
    },
    "commands": {
        *("errors", "images", "settings"),
        *("network", "recipe", "distributed", "store", "predictor", "data", "mnist", "corrections", "evaluation"),
        *("fitting", "retraining", "report"),
    },
    "__main__": {"processors", "commands"},
}
"""A folder or a module of training/ -> those that it imports, the lower ones first: each imports only earlier ones.

What a room is for says the docstring of its `__init__.py`.
"""
FOLDERS = [room for room in ROOMS if (ROOT / "training" / room).is_dir()]
RE_EXPORTING = {"store", "corrections", "mnist"}
"""Rooms that are entered by their `__init__.py`."""


def room_of(module):
    """The room of a module, such as `network` for `training.network.layers`; empty for `training` itself."""
    return module.partition(".")[2].partition(".")[0]


def imports_of(path):
    """The modules of training that a file imports, inside functions and for type checking too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("training"))
        elif isinstance(node, ast.ImportFrom) and node.module == "training":
            yield from (f"training.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("training."):
            yield node.module


def files_of(room):
    folder = ROOT / "training" / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def imported_by(room):
    """The rooms that a room imports."""
    return {room_of(name) for path in files_of(room) for name in imports_of(path)} - {room}


def test_every_folder_and_every_module_is_a_room():
    modules = {path.stem for path in (ROOT / "training").glob("*.py")}
    folders = {path.parent.name for path in (ROOT / "training").glob("*/__init__.py")}
    assert (modules | folders) - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_just_what_the_list_says(room):
    assert imported_by(room) == ROOMS[room]


@pytest.mark.parametrize("room", ROOMS)
def test_every_arrow_points_down(room):
    lower = list(ROOMS)[: list(ROOMS).index(room)]
    assert ROOMS[room] <= set(lower)


@pytest.mark.parametrize("room", FOLDERS)
def test_a_room_has_a_sentence_and_only_doors_re_export(room):
    module = ast.parse((ROOT / "training" / room / "__init__.py").read_text("utf-8"))
    assert ast.get_docstring(module)
    assert (len(module.body) > 1) == (room in RE_EXPORTING)
