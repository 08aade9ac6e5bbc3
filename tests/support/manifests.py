"""The tools that manifests and Dockerfile are checked with, and what kubectl makes of a folder of manifests."""

import subprocess

import yaml

from tests.support.project import ROOT

TOOLS = ROOT / ".venv-manifests/bin"


def tool(name, *arguments, **options):
    assert (TOOLS / name).exists(), f"{TOOLS}/{name} is missing; make test-all installs it"
    return subprocess.run([TOOLS / name, *arguments], capture_output=True, text=True, check=False, **options)


def built(path):
    """The documents that `kubectl kustomize` makes of a folder."""
    done = tool("kubectl", "kustomize", path)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def only(documents, kind, name=None):
    (found,) = [d for d in documents if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    return found
