"""The Dockerfile: what hadolint says of it, and what manifests take for granted of its image."""

import pytest

from tests.support.manifests import tool
from tests.support.project import DOCKERFILE, ROOT


def test_the_image_has_the_user_and_the_folder_that_manifests_name():
    assert "USER 10001:10001" in DOCKERFILE
    assert "DIGITS_STORE=/store" in DOCKERFILE


@pytest.mark.needs_manifest_tools
def test_the_dockerfile_is_as_hadolint_wants_it(tmp_path):
    assert tool("hadolint", ROOT / "Dockerfile").stdout == ""
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN cd /tmp && apt-get install curl\n")
    assert "DL3007" in tool("hadolint", tmp_path / "Dockerfile").stdout


def test_the_dockerfile_turns_nothing_of_hadolint_off():
    assert "hadolint ignore" not in DOCKERFILE
    assert not list(ROOT.glob(".hadolint.y*ml"))
