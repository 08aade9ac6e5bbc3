"""Imports: which modules a package, a room and a test file may load, and what `--help` must not load."""

import ast

import pytest

from tests.support.interpreter import loaded_after
from tests.support.project import ROOT

SQL = {"sqlalchemy", "alembic", "psycopg"}
OF_THE_OTHER_SIDE = {"matplotlib", "sklearn", "pandas", "pyarrow", "scipy.optimize", "pytest", "PIL", *SQL}
HEAVY = {"jax", "flax", "orbax", "optax", "numpy", "pydantic", "fastapi", "typer", "scipy", "pyarrow", "msgspec"}


def imports_of(path):
    """The modules that a file imports anywhere, in functions and for type checking too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def ours(path):
    return {name for name in imports_of(path) if name.split(".")[0] in ("service", "training")}


def test_the_service_imports_nothing_of_the_training_side_s_tools():
    assert not OF_THE_OTHER_SIDE & loaded_after("import service.app, training.predictor")


def test_importing_the_packages_costs_nothing():
    assert not HEAVY & loaded_after("import training, service")


def test_both_programs_start_where_a_module_of_unix_is_missing_to_say_so():
    loaded = loaded_after("import sys; sys.modules['fcntl'] = None; import training.__main__, service.__main__")
    assert {"training.system", "typer"} <= loaded


def test_help_does_not_wait_for_jax():
    assert not {"jax", "fastapi", "numpy", "orbax"} & loaded_after("import service.__main__")


@pytest.mark.parametrize("path", files("training"), ids=str)
def test_training_never_imports_the_service(path):
    assert not any(name.split(".")[0] == "service" for name in imports_of(path))


@pytest.mark.parametrize("path", files("service/engine"), ids=str)
def test_the_engine_imports_no_framework(path):
    assert not {"jax", "fastapi", "starlette", "uvicorn"} & {name.split(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("path", files("service"), ids=str)
def test_the_service_uses_training_by_its_few_doors(path):
    names = (
        "predictor",
        "answers",
        "drift",
        "store",
        "images",
        "picture",
        "reading",
        "settings",
        "errors",
        "corrections",
        "processors",
        "recipe",
        "system",
    )
    doors = {f"training.{door}" for door in names}
    used = {".".join(name.split(".")[:2]) for name in ours(path) if name.startswith("training.")}
    assert used <= doors


@pytest.mark.parametrize("path", files("tests"), ids=str)
def test_no_file_of_the_tests_imports_a_test_file(path):
    """What two of them need is in tests/support, so that either can change alone."""
    assert not [name for name in imports_of(path) if name.split(".")[0] == "tests" and ".test_" in name]
