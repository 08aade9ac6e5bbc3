"""Private members of libraries: without one the import fails; pyproject.toml allows only versions that have them."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from service.observability.buffered_histogram import PROMETHEUS_CLIENT
from service.private_api import require_members
from service.server.http_protocol import UVICORN
from tests.support.project import ROOT


class Library:
    public = True

    def __init__(self):
        self.connections = set()

    def _start(self):
        self.started = True


class Derived(Library):
    pass


@pytest.mark.parametrize("owner", [Library, Derived])
def test_members_of_a_class_and_attributes_that_its_methods_set_are_found(owner):
    require_members("uvicorn", ">=1", owner, "public", "_start", "connections", "started")


def test_a_missing_member_is_named_with_the_version_found_and_the_versions_wanted():
    message = rf"^uvicorn {version('uvicorn')} has no Library\._stop, want uvicorn >=1,<2$"
    with pytest.raises(ImportError, match=message):
        require_members("uvicorn", ">=1,<2", Library, "public", "_stop")


@pytest.mark.parametrize(
    ("owner", "member", "module", "library", "supported"),
    [
        ("uvicorn:Server", "on_tick", "service.server.draining_server", "uvicorn", UVICORN),
        (
            "prometheus_client:Histogram",
            "_metric_init",
            "service.observability.buffered_histogram",
            "prometheus-client",
            PROMETHEUS_CLIENT,
        ),
    ],
)
def test_an_import_without_a_private_member_fails_loudly(owner, member, module, library, supported):
    of, name = owner.split(":")
    code = f"import {of}; del {of}.{name}.{member}; import {module}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    missing = "_buckets, _sum" if name == "Histogram" else member  # which that method sets
    assert run.stderr.splitlines()[-1] == (
        f"ImportError: {library} {version(library)} has no {name}.{missing}, want {library} {supported}"
    )


@pytest.mark.parametrize(("library", "supported"), [("uvicorn", UVICORN), ("prometheus-client", PROMETHEUS_CLIENT)])
def test_pyproject_allows_the_versions_that_have_the_members(library, supported):
    assert f'"{library}{supported}"' in (ROOT / "pyproject.toml").read_text()
