"""The manifests are what Kubernetes, operators and checkov take."""

import json

import pytest
import yaml

from tests.support.custom_resources import SCHEMAS, as_known, errors_of
from tests.support.manifests import COMPONENTS, OVERLAYS, only, tool
from tests.support.project import ROOT

VERSIONS = ("1.34", "1.37")
"""The oldest version of Kubernetes that is supported, and the newest one that there is a schema of."""


@pytest.fixture(scope="module")
def files(manifests, tmp_path_factory):
    """The same as files, as Kubernetes knows them."""
    folder = tmp_path_factory.mktemp("manifests")
    for name, documents in manifests.items():
        known = [found for document in documents for found in as_known(document)]
        (folder / f"{name.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(known))
    return folder


def strict(*paths, version=VERSIONS[1]):
    done = tool("kubernetes-validate", "--strict", "--quiet", "--kubernetes-version", f"{version}.0", *paths)
    return done.returncode, done.stdout + done.stderr


def checkov(folder):
    done = tool(
        "checkov", "--config-file", ROOT / "k8s/checkov.yaml", "--compact", "--quiet", "-d", folder, "-o", "json"
    )
    report = json.loads(done.stdout)
    failed = report["results"]["failed_checks"]
    assert done.returncode == (1 if failed else 0)
    return {(check["check_id"], check["resource"]) for check in failed}, report["summary"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_all_of_them_to_the_last_field(files, version):
    paths = sorted(files.glob("*.yaml"))
    assert len(paths) == len(OVERLAYS) + len(COMPONENTS) >= 9
    assert strict(*paths, version=version) == (0, "")


def test_the_readme_says_which_versions_of_kubernetes_are_supported(manifests):
    oldest, newest = VERSIONS
    said = " ".join((ROOT / "k8s/README.md").read_text().split())
    assert f"Kubernetes {oldest} or later; tests check them with the schemas of {oldest} and {newest}." in said
    labels = only(manifests["base"], "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce-version"] == f"v{oldest}"


def test_a_field_that_there_is_not_would_be_seen(files, tmp_path):
    broken = (files / "base.yaml").read_text().replace("terminationGracePeriodSeconds", "terminationGraceSeconds", 1)
    (tmp_path / "broken.yaml").write_text(broken)
    code, said = strict(tmp_path / "broken.yaml")
    assert code == 1
    assert "terminationGraceSeconds" in said


def test_custom_resources_are_as_their_operators_take_them(manifests):
    found = [document for documents in manifests.values() for document in documents if document["kind"] in SCHEMAS]
    assert {document["kind"] for document in found} == SCHEMAS.keys()
    for document in found:
        assert errors_of(document) == [], f"{document['kind']} {document['metadata']['name']}"


def test_custom_resources_with_a_field_that_there_is_not_or_a_word_of_an_older_version_would_be_seen(manifests):
    inference = only(manifests["components/kserve"], "InferenceService")
    inference = json.loads(json.dumps(inference).replace("Standard", "RawDeployment").replace('"predictor"', '"model"'))
    assert len(errors_of(inference)) == 3


def test_checkov_finds_nothing_but_what_its_configuration_explains_and_would_find_a_broken_one(files, tmp_path):
    for path in files.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    deployment = only(yaml.safe_load_all((files / "base.yaml").read_text()), "Deployment")
    deployment["metadata"]["name"] = "broken"
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(deployment))
    failed, summary = checkov(tmp_path)
    assert failed == {("CKV_K8S_20", "Deployment.digits.broken")}
    assert (summary["parsing_errors"], summary["skipped"]) == (0, 0)
    assert summary["passed"] > 500


def test_every_check_that_is_skipped_has_a_reason():
    lines = (ROOT / "k8s/checkov.yaml").read_text().splitlines()
    skipped = [index for index, line in enumerate(lines) if line.startswith("  - ")]
    assert len(skipped) == 3
    assert all(lines[index - 1].startswith("  # ") for index in skipped)
