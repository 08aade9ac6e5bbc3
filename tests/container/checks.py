"""The image is built, run and stopped, and so are the pods of the local overlay: `make container-test`."""

import contextlib
import json
import os
import re
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import yaml

from service.auth.keys import digest_of
from tests.container import engine
from tests.container.clients import SEVEN, Clients
from tests.support.certificates import certified
from tests.support.manifests import built, only
from tests.support.project import ROOT
from tests.support.s3 import BUCKET, Stored

IMAGE = "digits:0.1.0"
READY_WITHIN_S = 4.0
SIZE_LIMIT_BYTES = 1_100_000_000
LARGE_MB = 50
USER = 10001
GRACE_S = 10
"""After which Docker kills, unless told otherwise."""
SITE_PACKAGES = "$(python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')"
"""In a shell of the image."""
plays_pods = pytest.mark.skipif(engine.NAME == "docker", reason="docker plays no pods; CONTAINER=podman does")
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module", autouse=True)
def image():
    began = time.monotonic()
    engine.build(IMAGE, str(ROOT))
    say(f"built in {time.monotonic() - began:.0f} s")


def say(figures):
    """Figures are what one runs this for."""
    sys.stdout.write(f"\n{figures}\n")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(port, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"})
    with NO_PROXY.open(request, timeout=10) as answer:
        return answer.status, json.load(answer)


def ready_after_s(port, began):
    """Seconds since `began` until it is ready."""
    while time.monotonic() < began + 60:
        with contextlib.suppress(OSError):
            if get(port, "/readyz")[0] == 200:
                return time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError("it was not ready within a minute")


@contextlib.contextmanager
def running(*options, port):
    """A container with a root file system that is read-only, and the seconds until it was ready."""
    name = f"digits-check-{port}"
    began = time.monotonic()
    strict = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges")
    engine.run(
        "run", "--detach", "--name", name, "--network", "host", *strict, *options, "-e", f"DIGITS_PORT={port}", IMAGE
    )
    try:
        yield name, ready_after_s(port, began)
    finally:
        engine.run("rm", "--force", name, check=False)


def inside(*command, options=()):
    return engine.run("run", "--rm", *options, IMAGE, *command)


def test_it_is_small_and_says_what_is_large():
    size = int(engine.run("image", "inspect", "--format", "{{.Size}}", IMAGE))
    listed = inside("sh", "-c", f"du -sm {SITE_PACKAGES}/*").split("\n")
    parts = {Path(path).name: int(mb) for mb, path in (line.split("\t") for line in listed if line)}
    large = {name: mb for name, mb in parts.items() if mb > LARGE_MB}
    say(f"{size / 1e6:.0f} MB; over {LARGE_MB} MB: {large}")
    assert size <= SIZE_LIMIT_BYTES
    explained = set(re.findall(r"^#   ([a-z ]+?) +\d+ MB", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert large.keys() <= explained


def test_it_has_a_numbered_user_and_neither_compiler_nor_caches():
    config = json.loads(engine.run("image", "inspect", IMAGE))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert inside("id", "-u").strip() == "10001"
    left = inside("sh", "-c", "command -v gcc cc c++ make uv; ls -d /root/.cache /tmp/* /build 2>/dev/null; true")
    assert left == ""
    assert inside("sh", "-c", f"touch {SITE_PACKAGES}/x /opt/compiled/x 2>/dev/null && echo written; true") == ""


def test_it_can_trace():
    options = ("-e", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318")
    program = "from service.observability.tracing import tracing_from_environment as t; print(bool(t()))"
    assert inside("python", "-c", program, options=options).strip() == "True"


def test_it_answers_with_the_model_that_is_baked_in():
    """How soon is a figure, and no verdict: that depends on what else the machine does."""
    seconds = []
    for _ in range(3):
        port = free_port()
        with running(port=port) as (name, ready_s):
            seconds.append(ready_s)
            status, answer = get(port, "/predict", SEVEN)
            assert (status, answer["digit"], answer["model"]) == (200, 7, {"name": "lenet", "version": 1})
            said = engine.run("logs", name, said=True)
            assert said.count("\n") == 1, said  # no warning of a cache that cannot be written to
    say(f"ready after {', '.join(f'{s:.1f}' for s in seconds)} s, wanted {READY_WITHIN_S:g}")


CACHE = """
import jax
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event.rpartition("/")[2]))
from service.models.loader import Loader
from service.observability.metrics import Metrics
from service.settings import ServiceSettings
live = Loader(ServiceSettings(), Metrics()).load("lenet", 1)
print(events.count("cache_hits"), events.count("cache_misses"), len(live.predictor.row_sizes))
"""


def test_nothing_is_compiled_on_the_machine_that_built_it_and_another_processor_is_no_error(tmp_path):
    strict = ("--read-only", "--tmpfs", "/tmp")
    hits, misses, sizes = inside("python", "-c", CACHE, options=strict).split()
    assert int(hits) >= int(sizes)
    assert (misses, sizes) == ("0", "6")
    other = "import pathlib, training.network.compile_cache as c; c._processor = lambda: 'another one'\n" + CACHE
    assert inside("python", "-W", "error", "-c", other, options=strict).split() == ["0", "0", "6"]


def test_an_empty_store_that_is_mounted_is_an_error_that_says_so(tmp_path):
    tmp_path.chmod(0o755)  # it is another user there
    command = ("run", "--rm", "--volume", f"{tmp_path}:/store:ro", IMAGE)
    said = engine.run(*command, check=False, said=True)
    assert "error: there is no model 'lenet' in the store /store; it holds no model at all" in said


def test_the_cpu_limit_is_the_number_of_batches_that_are_computed_at_once():
    """Each has a thread of the engine's, which Linux knows as Python's; XLA has one, whatever the limit."""
    found = []
    for options in (("--cpus", "1"), ()):
        port = free_port()
        with running(*options, port=port) as (name, _):
            found.append(Counter(engine.run("exec", name, "sh", "-c", "cat /proc/1/task/*/comm").split()))
    limited, free = found
    assert free["python"] - limited["python"] == int(inside("nproc")) - 1
    assert free["tf_XLAEigen"] == limited["tf_XLAEigen"] == 1


def test_sigterm_under_load_answers_every_request_that_was_sent_and_ends_with_0():
    port = free_port()
    with running(port=port) as (name, _), Clients(port) as clients:
        time.sleep(2)
        began = time.monotonic()
        engine.run("stop", "--time", str(GRACE_S), name)
        took_s = time.monotonic() - began
        code = engine.run("inspect", "--format", "{{.State.ExitCode}}", name).strip()
        said = engine.run("logs", name, said=True)
    say(f"stopped in {took_s:.1f} s; {clients.answered[port]} answered, {len(clients.lost)} lost")
    assert clients.lost == []
    assert clients.answered[port] > 100
    assert code == "0", said
    assert took_s < GRACE_S


@contextlib.contextmanager
def played(path, pod):
    path.write_text(yaml.safe_dump_all(pod))
    engine.play(str(path))
    try:
        yield str(path)
    finally:
        engine.down(str(path), check=False)


@plays_pods
def test_a_pod_that_is_deleted_under_load_loses_no_request(tmp_path):
    """Podman runs no preStop, so that the service's own pause has to do.

    It would take away the pod's network while the service drains. As the kubelet does it, its containers end first.
    """
    first, second = free_port(), free_port()
    pods = {}
    for name, port in (("digits", first), ("digits-other", second)):
        documents = [d for d in built(ROOT / "k8s/overlays/local") if d["kind"] in ("ConfigMap", "Deployment")]
        deployment = documents[-1]
        deployment["metadata"]["name"] = name
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        container["ports"][0]["hostPort"] = port
        grace_s = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        pods[name] = documents
    with played(tmp_path / "a.yaml", pods["digits"]) as deleted, played(tmp_path / "b.yaml", pods["digits-other"]):
        for port in (first, second):
            ready_after_s(port, time.monotonic())
            for probe in ("startup", "readiness", "liveness"):
                assert get(port, container[f"{probe}Probe"]["httpGet"]["path"])[0] == 200
            assert get(port, "/predict", SEVEN)[1]["digit"] == 7
        with Clients(first, second) as clients:
            time.sleep(2)
            at_first = clients.answered[first]
            began = time.monotonic()
            engine.run("stop", "--time", str(grace_s), "digits-pod-0-service")
            code = engine.run("inspect", "--format", "{{.State.ExitCode}}", "digits-pod-0-service").strip()
            engine.down(deleted)
            took_s = time.monotonic() - began
            time.sleep(1)
    say(f"deleted in {took_s:.1f} s; answered {clients.answered}, refused {clients.refused}, lost {len(clients.lost)}")
    assert clients.lost == []
    assert code == "0"
    assert at_first > 50
    assert clients.answered[second] > 50


def with_components(folder, *names):
    """The documents of the local overlay with some components."""
    here = os.path.relpath(ROOT / "k8s", folder)
    components = ", ".join(f"{here}/components/{name}" for name in names)
    (folder / "kustomization.yaml").write_text(f"resources: [{here}/overlays/local]\ncomponents: [{components}]\n")
    return built(folder)


def for_podman(spec, folder, port=None, **given):
    """Makes a pod's specification one that podman 4.3 can play, on this machine's network and on a port.

    It knows no variables in commands. Secrets are files in `folder`, because it does not decode them, and claims are
    folders there.
    """
    spec["hostNetwork"] = True
    (container,) = spec["containers"]
    container["image"] = IMAGE  # which has the commands of training, too
    container["env"] = [
        {"name": each["name"], "value": given.get(each["name"], each["value"])}
        for each in container.get("env", [])
        if "value" in each
    ]
    if port:
        container["env"].append({"name": "DIGITS_PORT", "value": str(port)})
        del container["ports"]  # which podman has no place for on the machine's network
    if "command" in container:
        container["command"] = [re.sub(r"\$\((\w+)\)", lambda found: given[found[1]], w) for w in container["command"]]
    for volume in spec["volumes"]:
        if secret := volume.pop("secret", None):
            volume["hostPath"] = {"path": str(folder / secret["secretName"]), "type": "Directory"}
        if claim := volume.pop("persistentVolumeClaim", None):
            volume["hostPath"] = {"path": str(folder / claim["claimName"]), "type": "Directory"}


def model_of_the_image(folder):
    """Copies version 1 of lenet, as it is baked in, to a folder."""
    container = engine.run("create", IMAGE).strip()
    try:
        engine.run("cp", f"{container}:/store/lenet/1", str(folder))
    finally:
        engine.run("rm", container)


def job(documents, name, folder, **given):
    """Runs the Job that a CronJob is the template of: its exit code, and what it says."""
    template = only(documents, "CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]
    for_podman(template["spec"], folder, **given)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template["spec"]}
    settings = [document for document in documents if document["kind"] == "ConfigMap"]
    with played(folder / f"{name}.yaml", [*settings, pod]):
        code = engine.run("wait", f"{name}-training").strip()
        return int(code), engine.run("logs", f"{name}-training", said=True)


@plays_pods
def test_pods_of_the_overlay_baked_answer_without_a_volume(tmp_path):
    documents = [d for d in built(ROOT / "k8s/overlays/baked") if d["kind"] in ("ConfigMap", "Deployment")]
    spec = only(documents, "Deployment")["spec"]["template"]["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["tmp"]
    port = free_port()
    for_podman(spec, tmp_path, port)
    with played(tmp_path / "baked.yaml", documents):
        ready_after_s(port, time.monotonic())
        assert get(port, "/predict", SEVEN)[1]["digit"] == 7


@plays_pods
def test_jobs_promote_roll_back_and_retrain_on_a_volume_that_the_service_only_reads(tmp_path):
    store = tmp_path / "digits-store"
    (store / "lenet").mkdir(parents=True)
    for version in ("1", "2"):
        model_of_the_image(store / "lenet" / version)
    for path in (store, *store.rglob("*")):
        os.chown(path, USER, USER)
    documents = built(ROOT / "k8s/base")
    given = {"DIGITS_MODEL": "lenet", "WHY": "a try", "DIGITS_OPERATOR": "anna"}
    assert job(documents, "digits-promote", tmp_path, VERSION="1", **given)[0] == 0
    port = free_port()
    served = [document for document in documents if document["kind"] in ("ConfigMap", "Deployment")]
    spec = only(served, "Deployment")["spec"]["template"]["spec"]
    assert [m["readOnly"] for m in spec["containers"][0]["volumeMounts"] if m["name"] == "store"] == [True]
    for_podman(spec, tmp_path, port)

    def follows(version):
        until = time.monotonic() + 60
        while (found := get(port, "/predict", SEVEN)[1]["model"]["version"]) != version:
            assert time.monotonic() < until, found
            time.sleep(0.2)

    with played(tmp_path / "service.yaml", served):
        ready_after_s(port, time.monotonic())
        follows(1)
        documents = built(ROOT / "k8s/base")
        assert job(documents, "digits-promote", tmp_path, VERSION="2", **given)[0] == 0
        follows(2)
        code, said = job(documents, "digits-rollback", tmp_path, **given)
        assert (code, "version 1 is the champion of lenet again" in said) == (0, True), said
        follows(1)
        code, said = job(documents, "digits-retrain", tmp_path)
        assert (code, "remains the champion" in said) == (0, True), said
        follows(1)


@plays_pods
def test_a_job_promotes_a_version_in_object_storage_and_pods_follow(s3, tmp_path):
    model_of_the_image(tmp_path / "1")
    for path in (tmp_path / "1").rglob("*"):
        if path.is_file():
            key = f"store/lenet/1/{path.relative_to(tmp_path / '1').as_posix()}"
            s3.objects.buckets[BUCKET][key] = Stored(path.read_bytes(), f'"{key}"', time.time())
    documents = built(ROOT / "k8s/overlays/object-store")
    settings = [document for document in documents if document["kind"] == "ConfigMap"]
    (storage,) = [found for found in settings if "DIGITS_STORE" in found["data"]]
    assert storage["data"]["DIGITS_STORE"] == f"s3://{BUCKET}/store"
    storage["data"] |= s3.environment  # as the Secrets have it

    given = {"DIGITS_MODEL": "lenet", "VERSION": "1", "WHY": "the first one", "DIGITS_OPERATOR": "anna"}
    code, said = job(documents, "digits-promote", tmp_path, **given)
    assert (code, "version 1 is the champion of lenet" in said) == (0, True), said

    port = free_port()
    deployment = only(documents, "Deployment")
    for_podman(deployment["spec"]["template"]["spec"], tmp_path, port)
    with played(tmp_path / "service.yaml", [*settings, deployment]):
        ready_s = ready_after_s(port, time.monotonic())
        assert get(port, "/predict", SEVEN)[1]["digit"] == 7
        memory = get_text(port, "/metrics")
    resident = float(re.search(r"^process_resident_memory_bytes(?:{.*?})? (\S+)", memory, re.MULTILINE)[1])
    say(f"ready from object storage after {ready_s:.1f} s; {resident / 2**20:.0f} MiB resident after one picture")


def get_text(port, path):
    with NO_PROXY.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


@plays_pods
def test_pods_with_keys_and_tls_answer_who_has_a_key(tmp_path):
    tmp_path.chmod(0o755)  # it is another user there
    (tmp_path / "digits-keys").mkdir()
    (tmp_path / "digits-keys" / "keys").write_text(f"shop predict {digest_of('secret')}\n")
    (tmp_path / "digits-tls").mkdir()
    for path, name in zip(certified(tmp_path / "digits-tls"), ("tls.crt", "tls.key"), strict=True):
        path.chmod(0o644)
        path.rename(path.with_name(name))
    port = free_port()
    documents = with_components(tmp_path, "keys", "tls")
    documents = [document for document in documents if document["kind"] in ("ConfigMap", "Deployment")]
    for_podman(only(documents, "Deployment")["spec"]["template"]["spec"], tmp_path, port)
    trusting = urllib.request.HTTPSHandler(
        context=ssl.create_default_context(cafile=tmp_path / "digits-tls" / "tls.crt")
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting)

    def status_of(path, body=None, **headers):
        request = urllib.request.Request(f"https://127.0.0.1:{port}{path}", body, headers)
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    with played(tmp_path / "pods.yaml", documents):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if status_of("/readyz") == 200:
                    break
            time.sleep(0.1)
        json_ = {"Content-Type": "application/json"}
        assert status_of("/predict", SEVEN, **json_) == 401
        assert status_of("/predict", SEVEN, Authorization="Bearer secret", **json_) == 200
        assert status_of("/metrics") == 401
