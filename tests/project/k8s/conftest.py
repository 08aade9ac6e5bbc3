"""The manifests as kubectl builds them."""

import pytest

from tests.support.manifests import COMPONENTS, OVERLAYS, built, with_components
from tests.support.project import ROOT


@pytest.fixture(scope="session")
def manifests(tmp_path_factory):
    """All that can be applied, by name: base, overlays, and base with each component."""
    found = {name: built(ROOT / "k8s" / name) for name in OVERLAYS}
    for name in COMPONENTS:
        found[f"components/{name}"] = built(with_components(tmp_path_factory.mktemp(name), name))
    return found
