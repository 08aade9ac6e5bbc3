"""What each overlay makes of the base, or has beside it."""

import re

import pytest
from typer.main import get_command

from tests.support.manifests import built, only, with_components
from tests.support.pods import egress_ports, pods, serves
from tests.support.project import ROOT
from training.__main__ import app
from training.settings import StoreSettings


def test_the_processes_of_several_hosts_find_the_first_one(manifests):
    documents = manifests["overlays/training-multihost"]
    job, service = only(documents, "Job"), only(documents, "Service")
    spec = job["spec"]["template"]["spec"]
    command = spec["containers"][0]["command"]
    given = dict(option.removeprefix("--").split("=") for option in command if "=" in option)
    first = f"{job['metadata']['name']}-0.{spec['subdomain']}"
    assert given["coordinator"] == f"{first}:{service['spec']['ports'][0]['port']}"
    assert spec["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"]
    assert job["spec"]["completionMode"] == "Indexed"
    assert int(given["processes"]) == job["spec"]["completions"] == job["spec"]["parallelism"] == 2
    assert given["process"] == "$(JAX_PROCESS_ID)"
    (index,) = [v for v in spec["containers"][0]["env"] if v["name"] == "JAX_PROCESS_ID"]
    assert index["valueFrom"]["fieldRef"]["fieldPath"].endswith("['batch.kubernetes.io/job-completion-index']")


def test_trainer_finds_its_container_and_fit_reads_the_variables_that_trainer_sets(manifests):
    documents = manifests["overlays/trainjob"]
    job, runtime = only(documents, "TrainJob")["spec"], only(documents, "TrainingRuntime")
    assert (job["runtimeRef"]["kind"], job["runtimeRef"]["name"]) == (runtime["kind"], runtime["metadata"]["name"])
    ((_, pod),) = pods(documents)
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "node"
    python, option, program, command, *rest = job["trainer"]["command"]
    assert [python, option, program, command, *rest[1:]] == ["python", "-m", "training", "fit", "--resume"]
    read = {parameter.envvar for parameter in get_command(app).commands["fit"].params if parameter.envvar}
    assert {"JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"} <= read
    assert job["trainer"]["numNodes"] == 2
    assert only(documents, "NetworkPolicy", "digits-training-together")


def test_each_pod_that_predicts_has_a_shard_of_its_own(manifests):
    spec = only(manifests["overlays/predict"], "Job")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["completionMode"] == "Indexed"
    assert container["command"][-1] == f"--shard=$(SHARD)/{spec['completions']}"
    (index,) = [v for v in container["env"] if v["name"] == "SHARD"]
    assert index["valueFrom"]["fieldRef"]["fieldPath"].endswith("['batch.kubernetes.io/job-completion-index']")


def test_ray_answers_the_same_rows_with_the_version_that_is_tested(manifests):
    spec = only(manifests["overlays/predict-ray"], "RayJob")["spec"]
    (container,) = only(manifests["overlays/predict"], "Job")["spec"]["template"]["spec"]["containers"]
    assert spec["entrypoint"].split()[:7] == container["command"][:7]
    assert spec["entrypoint"].split()[7:] == ["--shards=16", "--engine=ray"]
    tested = (ROOT / "tests/support/ray-requirements.txt").read_text()
    assert tested == f"ray[data]=={spec['rayClusterSpec']['rayVersion']}\n"
    image = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    assert re.search(rf"docker build -t {image} --target ray ", (ROOT / "k8s/README.md").read_text())


@pytest.mark.parametrize(("overlay", "device"), [("gpu", "nvidia.com/gpu"), ("tpu", "google.com/tpu")])
def test_accelerators_are_asked_for_and_have_their_images(manifests, overlay, device):
    for what, pod in pods(manifests[f"overlays/{overlay}"]):
        if what in ("CronJob digits-promote", "CronJob digits-rollback"):
            continue
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources["limits"][device] == resources["requests"][device] == "1", what
        assert pod["spec"]["containers"][0]["image"].endswith("-cuda" if overlay == "gpu" else "-tpu"), what


def test_locally_the_model_of_the_image_answers(manifests):
    documents = manifests["overlays/local"]
    assert {d["kind"] for d in documents} & {"PersistentVolumeClaim", "HorizontalPodAutoscaler", "CronJob"} == set()
    ((_, pod),) = pods(documents)
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["tmp"]


def test_baked_is_the_base_without_a_volume_and_without_jobs_for_the_store(manifests):
    documents = manifests["overlays/baked"]
    assert {d["kind"] for d in manifests["base"]} - {d["kind"] for d in documents} == {
        "PersistentVolumeClaim",
        "CronJob",
    }
    ((_, pod),) = pods(documents)
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["tmp"]


@pytest.mark.parametrize("overlay", ["object-store", "object-store-training"])
def test_a_store_in_object_storage_has_a_cache_of_limited_size_its_own_rights_and_a_way_out(manifests, overlay):
    documents = manifests[f"overlays/{overlay}"]
    assert "PersistentVolumeClaim" not in {document["kind"] for document in documents}
    settings = only(
        [d for d in documents if "digits-object-storage" in d["metadata"]["name"] and d["kind"] == "ConfigMap"],
        "ConfigMap",
    )
    assert settings["data"]["DIGITS_STORE"].startswith("s3://")
    assert settings["data"]["DIGITS_CACHE"] == "/cache"
    assert {name.removeprefix("DIGITS_").lower() for name in settings["data"]} <= StoreSettings.model_fields.keys()
    for what, pod in pods(documents):
        (container,) = pod["spec"]["containers"]
        given = [source.get("configMapRef", source.get("secretRef")) for source in container["envFrom"]]
        assert settings["metadata"]["name"] in [source["name"] for source in given], what
        secrets = [source["secretRef"] for source in container["envFrom"] if "secretRef" in source]
        assert secrets == [{"name": f"digits-store-{'read' if serves(what) else 'write'}", "optional": True}], what
        assert pod["spec"]["serviceAccountName"] == ("digits" if serves(what) else "digits-training"), what
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts.keys() == {"/cache", "/tmp"}, what
        (cache,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == mounts["/cache"]]
        assert cache["emptyDir"]["sizeLimit"] == "1Gi"
        assert int(settings["data"]["DIGITS_CACHE_LIMIT_BYTES"]) < 2**30
        assert 443 in egress_ports(documents, pod), what


@pytest.mark.parametrize("command", ["promote", "rollback"])
@pytest.mark.parametrize("overlay", ["base", "overlays/object-store"])
def test_templates_of_jobs_never_run_by_themselves_and_write_the_store(manifests, overlay, command):
    cron = only(manifests[overlay], "CronJob", f"digits-{command}")["spec"]
    assert cron["suspend"] is True
    (container,) = cron["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][:4] == ["python", "-m", "training", command]
    known = {variable["name"] for variable in container["env"]} | {"DIGITS_MODEL"}
    assert set(re.findall(r"\$\((\w+)\)", " ".join(container["command"]))) <= known
    assert "DIGITS_OPERATOR" in known
    options = {option for each in get_command(app).commands[command].params for option in each.opts}
    assert {word for word in container["command"][4:] if word.startswith("--")} == {"--why"} <= options


@pytest.mark.parametrize("overlay", ["gpu", "tpu"])
def test_accelerators_are_not_scaled_by_cpu_and_a_rollout_needs_no_spare_one(manifests, overlay, tmp_path):
    documents = manifests[f"overlays/{overlay}"]
    assert "HorizontalPodAutoscaler" not in {document["kind"] for document in documents}
    deployment = only(documents, "Deployment")["spec"]
    assert deployment["replicas"] == 2, "while one is replaced the other one answers"
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    scaled = built(with_components(tmp_path, "keda-accelerators", onto=f"overlays/{overlay}"))
    assert [trigger["type"] for trigger in only(scaled, "ScaledObject")["spec"]["triggers"]] == ["prometheus"]
    assert "replicas" not in only(scaled, "Deployment")["spec"]
