"""The READMEs' commands for docker and kubectl, which need an engine or a cluster: what they name is there."""

import argparse
import os
import re
import shlex

import pytest
import yaml

from tests.support.manifests import built, only, tool, with_components
from tests.support.markdown import blocks
from tests.support.project import DOCKERFILE, ROOT

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
        ("kubectl", "logs"),
        ("kubectl", "wait"),
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


def secrets_that_pods_name(documents):
    """Names of the Secrets that pods read, with the entries that they read one by one."""
    found = {}
    text = yaml.safe_dump_all(documents)
    for name, key in re.findall(r"secretKeyRef:\n\s+key: (\S+)\n\s+name: (\S+)", text):
        found.setdefault(key, set()).add(name)
    for name in re.findall(r"secretRef:\n\s+name: (\S+)|secretName: (\S+)", text):
        found.setdefault("".join(name), set())
    return found


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The base with its store in object storage, with keys and TLS."""
    folder = tmp_path_factory.mktemp("everything")
    return built(with_components(folder, "keys", "tls", onto="overlays/object-store"))


@pytest.mark.needs_manifest_tools
@pytest.mark.parametrize("command", of("kubectl", "create", "secret"))
def test_secrets_are_those_that_pods_read(command, everything, tmp_path):
    for name in ("keys", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("x")
    words = [word for word in shlex.split(command) if not word.startswith(("--cert", "--key"))]
    if words[0] == "tls":  # kubectl wants a real certificate
        words = ["generic", *words[1:], "--from-literal=tls.crt=x", "--from-literal=tls.key=x"]
    done = tool("kubectl", "create", "secret", *words, "--dry-run=client", "-o", "yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    secret = yaml.safe_load(done.stdout)
    assert secret["metadata"]["namespace"] == only(everything, "Deployment")["metadata"]["namespace"]
    read = secrets_that_pods_name(everything)
    assert secret["metadata"]["name"] in read
    assert read[secret["metadata"]["name"]] <= secret["data"].keys()
    settings = yaml.safe_dump([d["data"] for d in everything if d["kind"] == "ConfigMap"])
    if words[-1].startswith("--from-file") or "tls" in command.split():
        assert all(f"/{entry}\n" in settings for entry in secret["data"])


@pytest.mark.needs_manifest_tools
def test_secrets_that_are_optional_are_so_and_all_are_made_before_the_pods():
    order = [command for command in COMMANDS if command.startswith(("kubectl create secret", "kubectl apply"))]
    database = next(i for i, command in enumerate(order) if "digits-database" in command)
    assert order[database - 1] == "kubectl apply -k k8s/base/namespace"
    assert all(command.endswith("overlays/local") for command in order[: database - 1])


@pytest.mark.needs_manifest_tools
def test_the_job_that_is_deleted_and_waited_for_is_the_one_that_trains():
    job = only(built(ROOT / "k8s/overlays/training"), "Job")["metadata"]
    (command,) = of("kubectl", "delete")
    assert command == f"-n {job['namespace']} job {job['name']}"
    assert all({"-n", job["namespace"], f"job/{job['name']}"} < {*command.split()} for command in of("kubectl", "wait"))


def made_by(command):
    """What `kubectl create job --from=cronjob/…` would make, and what the rest of the pipeline makes of it."""
    first, *rest = [shlex.split(part) for part in command.split(" | ")]
    name, cron = first[2], next(word for word in first if word.startswith("--from=")).removeprefix("--from=cronjob/")
    spec = only(built(ROOT / "k8s/base"), "CronJob", cron)["spec"]["jobTemplate"]["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": first[1]}, "spec": spec}
    assert first[0] == "-n"
    if rest:
        assert {"--dry-run=client", "-o", "yaml"} <= {*first}
        assert rest[-1] == ["kubectl", "create", "-f", "-"]
        done = tool(*rest[0], input=yaml.safe_dump(job))
        assert done.returncode == 0, done.stderr
        job = yaml.safe_load(done.stdout)
    return job


@pytest.mark.needs_manifest_tools
@pytest.mark.parametrize("command", of("kubectl", "create", "job"))
def test_jobs_that_are_made_of_templates_have_what_their_commands_name(command):
    (container,) = made_by(command)["spec"]["template"]["spec"]["containers"]
    given = {variable["name"]: variable.get("value") for variable in container["env"]}
    if "promote" in command:
        assert (given["VERSION"], given["WHY"], given["DIGITS_OPERATOR"]) == ("2", "better on thin strokes", "anna")
        assert [variable["name"] for variable in container["env"]].count("VERSION") == 1
    assert f"job/{command.split()[2]}" in " ".join(of("kubectl", "logs")) or "promote" not in command


@pytest.mark.needs_manifest_tools
def test_the_overlay_of_the_readme_builds_and_takes_images_from_the_registry_that_it_names(tmp_path):
    (text,) = [code for language, code in blocks((ROOT / "k8s/README.md").read_text()) if language == "yaml"]
    here = os.path.relpath(ROOT / "k8s", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(text.replace("k8s/", f"{here}/"))
    documents = built(tmp_path)
    kinds = {document["kind"] for document in documents}
    assert {"ServiceMonitor", "PrometheusRule", "Deployment", "HTTPRoute"} <= kinds
    (storage,) = [d for d in documents if d["metadata"]["name"].startswith("digits-object-storage-")]
    assert storage["data"]["DIGITS_STORE"] == "s3://BUCKET/PREFIX"
    (container,) = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/digits:0.1.0"
