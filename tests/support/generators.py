"""Programs that make clients of openapi.json, which `make test-all` installs."""

from pathlib import Path

from tests.support.manifests import TOOLS
from tests.support.project import ROOT

NODE_MODULES = ROOT / "tests/clients/typescript/node_modules"


def python_program(name: str) -> Path:
    return _there(TOOLS / name)


def node_program(name: str) -> Path:
    return _there(NODE_MODULES / ".bin" / name)


def _there(path: Path) -> Path:
    assert path.exists(), f"{path} is missing; make test-all installs it"
    return path
