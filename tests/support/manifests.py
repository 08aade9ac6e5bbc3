"""The tools that manifests and Dockerfile are checked with, and what kubectl makes of a folder of manifests."""

import os
import subprocess

import yaml

from tests.support.project import ROOT

TOOLS = ROOT / ".venv-manifests/bin"
OVERLAYS = ["base", *(f"overlays/{path.name}" for path in sorted((ROOT / "k8s/overlays").iterdir()))]
COMPONENTS = sorted(path.parent.name for path in (ROOT / "k8s/components").glob("*/kustomization.yaml"))


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


def with_components(folder, *names, onto="base"):
    """Makes an empty folder one of manifests: the base or an overlay with components."""
    relative = os.path.relpath(ROOT / "k8s", folder)
    components = ", ".join(f"{relative}/components/{name}" for name in names)
    lines = f"resources: [{relative}/{onto}]\ncomponents: [{components}]\n"
    (folder / "kustomization.yaml").write_text(lines)
    return folder
