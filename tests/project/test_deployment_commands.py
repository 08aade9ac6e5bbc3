"""The READMEs' commands for docker and kubectl, which need an engine or a cluster: what they name is there."""

import argparse
import os
import re
import shlex

import pytest
import yaml

from tests.support.manifests import built, only, tool
from tests.support.markdown import blocks
from tests.support.project import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMMANDS = list(
    dict.fromkeys(
        line
        for name in ("README.md", "service/README.md", "training/README.md", "k8s/README.md")
        for language, code in blocks((ROOT / name).read_text())
        if language == "sh"
        for line in code.splitlines()
    )
)


def of(*words):
    """The commands that start with these words, without them."""
    found = [command[len(" ".join(words)) + 1 :] for command in COMMANDS if command.split()[: len(words)] == [*words]]
    assert found, words
    return found


def options(*names, flags=(), positional):
    """A parser that takes these options, and ends the test with others."""
    parser = argparse.ArgumentParser()
    for name in names:
        parser.add_argument(name, action="append")
    for name in flags:
        parser.add_argument(name, action="store_true")
    parser.add_argument(positional)
    return parser


def test_commands_that_are_only_checked_are_of_docker_and_kubectl():
    assert {command.split()[0] for command in COMMANDS} == {"docker", "kubectl"}
    assert {tuple(command.split()[:2]) for command in COMMANDS} == {
        ("docker", "build"),
        ("docker", "run"),
        ("kubectl", "apply"),
        ("kubectl", "create"),
        ("kubectl", "delete"),
    }


@pytest.mark.parametrize("command", of("docker", "build"))
def test_images_are_built_from_stages_and_arguments_of_the_dockerfile(command):
    asked = options("-t", "--target", "--build-arg", positional="context").parse_args(shlex.split(command))
    assert asked.context == "."
    assert all(re.search(rf"^FROM \S+ AS {stage}$", DOCKERFILE, re.MULTILINE) for stage in asked.target or [])
    for name, _, value in (argument.partition("=") for argument in asked.build_arg or []):
        assert re.search(rf"^ARG {name}$", DOCKERFILE, re.MULTILINE)
        assert re.search(rf"\b{value}\b[^\n]*\)", DOCKERFILE)


@pytest.mark.parametrize("command", of("docker", "run"))
def test_containers_have_the_port_and_the_store_of_the_image(command):
    parser = options("-p", "--tmpfs", "-v", flags=("--rm", "--read-only"), positional="image")
    asked = parser.parse_args(shlex.split(command))
    assert asked.image in [built.split()[1] for built in of("docker", "build")]
    assert [port.split(":")[1] for port in asked.p] == re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    for volume in asked.v or []:
        assert f"DIGITS_STORE={volume.split(':')[1]}" in DOCKERFILE


@pytest.mark.needs_manifest_tools
@pytest.mark.parametrize("command", of("kubectl", "apply"))
def test_kubectl_builds_what_it_is_told_to_apply(command):
    assert command.startswith("-k ")
    assert built(ROOT / command.removeprefix("-k "))


@pytest.mark.needs_manifest_tools
def test_the_secret_is_the_one_that_pods_read():
    (command,) = of("kubectl", "create")
    done = tool("kubectl", "create", *shlex.split(command), "--dry-run=client", "-o", "yaml")
    assert done.returncode == 0, done.stderr
    secret = yaml.safe_load(done.stdout)
    deployment = only(built(ROOT / "k8s/base"), "Deployment")
    (url,) = [v for v in deployment["spec"]["template"]["spec"]["containers"][0]["env"] if "valueFrom" in v]
    reference = url["valueFrom"]["secretKeyRef"]
    assert secret["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert (secret["metadata"]["name"], [*secret["data"]]) == (reference["name"], [reference["key"]])


@pytest.mark.needs_manifest_tools
def test_the_job_that_is_deleted_is_the_one_that_trains():
    (command,) = of("kubectl", "delete")
    job = only(built(ROOT / "k8s/overlays/training"), "Job")["metadata"]
    assert command == f"-n {job['namespace']} job {job['name']}"


@pytest.mark.needs_manifest_tools
def test_the_overlay_of_the_readme_builds_and_takes_images_from_the_registry_that_it_names(tmp_path):
    (text,) = [code for language, code in blocks((ROOT / "k8s/README.md").read_text()) if language == "yaml"]
    here = os.path.relpath(ROOT / "k8s", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(text.replace("k8s/", f"{here}/"))
    documents = built(tmp_path)
    assert {"ServiceMonitor", "PrometheusRule", "Deployment"} <= {document["kind"] for document in documents}
    (container,) = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/digits:0.1.0"
