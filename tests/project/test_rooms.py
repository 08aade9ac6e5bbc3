"""The rooms of the packages: which room may import which, and that CONTRIBUTING.md lists each with its sentence."""

import ast
import re

import pytest

from tests.support.project import ROOT

GROUND = {
    "service": {
        "errors",
        "headers",
        "settings",
        "version_policy",
        "concurrency",
        "helper_process",
        "memory",
        "private_api",
    },
    "training": set(),
}
"""Files beside the rooms that any room may import."""
MAY_IMPORT = {
    "service": {
        "__main__": {"server", "observability"},
        "server": {"app", "state", "feedback", "models", "observability", "http"},
        "app": {"routes", "state", "http", "auth", "observability"},
        "routes": {"state", "feedback", "protocols", "http", "models", "observability", "auth"},
        "state": {"feedback", "http", "models", "observability", "auth"},
        "feedback": {"protocols"},
        "protocols": {"http"},
        "http": {"engine"},
        "models": {"observability", "engine"},
        "observability": {"engine"},
        "auth": set(),
        "engine": set(),
        "settings": {"version_policy"},
        "version_policy": set(),
        "errors": set(),
        "headers": set(),
        "concurrency": set(),
        "helper_process": {"memory"},
        "memory": set(),
        "private_api": set(),
    },
    "training": {
        "errors": set(),
        "images": {"errors"},
        "answers": {"images"},
        "drift": {"answers", "images"},
        "picture": {"errors", "images"},
        "reading": {"answers", "picture"},
        "filesystem": set(),
        "typed_file": {"wrong_value"},
        "wrong_value": {"errors"},
        "processors": set(),
        "settings": set(),
        "system": {"errors"},
        "uncertainty": {"answers", "images"},
        "network": {"answers", "errors", "images", "processors", "typed_file", "uncertainty"},
        "recipe": {"errors", "network", "typed_file", "wrong_value"},
        "distributed": {"errors", "filesystem", "processors"},
        "store": {
            *("answers", "drift", "errors", "filesystem", "images", "settings"),
            *("uncertainty", "network", "recipe", "distributed"),
        },
        "predictor": {"answers", "drift", "images", "uncertainty", "network", "store"},
        "data": {"errors", "images", "picture"},
        "mnist": {"data"},
        "photos": {"images", "data"},
        "corrections": {"errors", "filesystem", "images"},
        "exposure": {"images", "picture", "photos"},
        "export": {
            *("answers", "errors", "images"),
            *("uncertainty", "network", "store", "predictor", "data"),
        },
        "prediction": {
            *("answers", "errors", "images", "picture", "processors", "reading", "settings"),
            *("network", "store", "predictor", "data"),
        },
        "evaluation": {
            *("answers", "drift", "errors", "images", "picture", "reading"),
            *("store", "predictor", "data", "photos"),
        },
        "fitting": {
            *("answers", "drift", "errors", "exposure", "filesystem", "images"),
            *("uncertainty", "network", "recipe", "distributed", "store", "data", "evaluation"),
        },
        "estimator": {"images", "network", "recipe", "data", "errors", "fitting", "wrong_value"},
        "retraining": {
            *("errors", "filesystem", "images", "settings"),
            *("network", "recipe", "store", "data", "evaluation", "fitting"),
        },
        "report": {
            *("answers", "images", "photos"),
            *("uncertainty", "network", "recipe", "store", "predictor", "data", "mnist", "evaluation", "fitting"),
        },
        "commands": {
            *("answers", "errors", "images", "processors", "settings"),
            *(
                "network",
                "recipe",
                "distributed",
                "store",
                "predictor",
                "data",
                "mnist",
                "photos",
                "corrections",
                "evaluation",
            ),
            *("fitting", "retraining", "report", "export", "prediction"),
        },
        "__main__": {"processors", "system", "commands"},
    },
}
"""Package -> room or file -> rooms that it may import. Every arrow is needed, and none leads back."""
ALONE = {"service": ("engine",), "training": ("errors", "filesystem", "processors", "settings")}
"""Rooms and files that import nothing of ours, not even ground files."""
DOORS = {"training/picture", "training/store", "training/corrections", "training/mnist"}
"""Rooms that are entered by their `__init__.py`; that of any other room holds its sentence alone."""


def imports_between_rooms(package: str) -> dict[str, set[str]]:
    """What each room or file of a package imports of the others, also in functions and for type checking."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        room = path.relative_to(ROOT / package).with_suffix("").parts[0]
        if room == "__init__":
            continue
        imported = found.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            imported |= {name.split(".")[1] for name in names if name.startswith(f"{package}.")} - {room}
    return found


def reachable(arrows: dict[str, set[str]], room: str) -> set[str]:
    """The rooms that a room imports, directly or through others."""
    found, waiting = set(), [*arrows[room]]
    while waiting:
        if (other := waiting.pop()) not in found:
            found.add(other)
            waiting += arrows[other]
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_room_imports_the_rooms_that_it_may_and_no_others(package):
    arrows = {
        room: {other for other in imported if other not in GROUND[package] or room in GROUND[package]}
        for room, imported in imports_between_rooms(package).items()
    }
    assert arrows == MAY_IMPORT[package]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_arrow_between_rooms_leads_back(package):
    arrows = MAY_IMPORT[package]
    assert [room for room in arrows if room in reachable(arrows, room)] == []


@pytest.mark.parametrize(("package", "room"), [(package, room) for package, rooms in ALONE.items() for room in rooms])
def test_a_room_that_stands_alone_imports_nothing_of_ours(package, room):
    assert imports_between_rooms(package)[room] == set()


def sentence(package: str, name: str) -> str:
    """What a room or a file says of itself in its first line."""
    folder = ROOT / package / name
    path = folder / "__init__.py" if folder.is_dir() else folder
    return ast.get_docstring(ast.parse(path.read_text())).splitlines()[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_contributing_lists_every_room_and_file_with_its_own_sentence(package):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = re.search(rf"^## {package}/\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]
    listed = dict(re.findall(r"^\| `([\w./]+?)/?` \| (.*) \|$", section, re.MULTILINE))
    names = {
        path.name
        for path in (ROOT / package).iterdir()
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert listed == {name: sentence(package, name) for name in names}


@pytest.mark.parametrize(
    "path", [path for package in MAY_IMPORT for path in (ROOT / package).glob("*/__init__.py")], ids=str
)
def test_only_doors_have_code_in_their_init(path):
    door = path.parent.relative_to(ROOT).as_posix() in DOORS
    assert (len(ast.parse(path.read_text()).body) > 1) == door
