"""The manifests: what kubectl makes of them is what Kubernetes takes, and what they say agrees with the service."""

import json
import math
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
import yaml
from typer.main import get_command

from service.observability.tracing import wanted
from service.settings import ServiceSettings
from tests.support.manifests import built, only, tool
from tests.support.project import ROOT
from training.__main__ import app
from training.commands.retrain import KEPT
from training.settings import StoreSettings

DOCKERFILE = (ROOT / "Dockerfile").read_text()
OVERLAYS = ["base", *(f"overlays/{path.name}" for path in sorted((ROOT / "k8s/overlays").iterdir()))]
COMPONENTS = sorted(path.parent.name for path in (ROOT / "k8s/components").glob("*/kustomization.yaml"))
SCHEMAS = {path.stem: yaml.safe_load(path.read_text()) for path in (Path(__file__).parent / "schemas").glob("*.yaml")}
"""JSON schemas of kinds that Kubernetes does not know (custom resources), by kind: the fields that are used here."""
VERSIONS = ("1.34", "1.37")
"""The oldest version of Kubernetes that is supported, and the newest one that there is a schema of."""
PAUSE_OF_PROXIES_S = 5


def with_component(folder, name, onto="base"):
    relative = os.path.relpath(ROOT / "k8s", folder)
    lines = f"resources: [{relative}/{onto}]\ncomponents: [{relative}/components/{name}]\n"
    (folder / "kustomization.yaml").write_text(lines)
    return folder


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """All that can be applied, by name: base, overlays, and base with each component."""
    found = {name: built(ROOT / "k8s" / name) for name in OVERLAYS}
    for name in COMPONENTS:
        found[f"components/{name}"] = built(with_component(tmp_path_factory.mktemp(name), name))
    return found


def as_known(document):
    """What Kubernetes knows of a document: of a custom resource the pod or the jobs that its operator makes."""
    kind, metadata, spec = document["kind"], document["metadata"], document.get("spec", {})
    if kind not in SCHEMAS:
        yield document
    elif kind == "InferenceService":
        own = SCHEMAS[kind]["properties"]["spec"]["properties"]["predictor"]["properties"]
        pod = {field: value for field, value in spec["predictor"].items() if field not in own}
        labelled = {**metadata, "labels": spec["predictor"]["labels"]}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": labelled, "spec": pod}
    elif kind == "TrainingRuntime":
        for job in spec["template"]["spec"]["replicatedJobs"]:
            yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job["template"]["spec"]}
    elif kind == "RayJob":
        cluster = spec["rayClusterSpec"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            pod = group["template"]
            labelled = {**metadata, "name": f"{metadata['name']}-{group.get('groupName', 'head')}", **pod["metadata"]}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": labelled, "spec": pod["spec"]}


@pytest.fixture(scope="module")
def files(manifests, tmp_path_factory):
    """The same as files, as Kubernetes knows them."""
    folder = tmp_path_factory.mktemp("manifests")
    for name, documents in manifests.items():
        known = [found for document in documents for found in as_known(document)]
        (folder / f"{name.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(known))
    return folder


def pods(documents):
    """Kind and name of whatever makes pods, with the pods' template."""
    for document in documents:
        for known in as_known(document):
            kind, spec = known["kind"], known.get("spec", {})
            what = f"{kind} {known['metadata']['name']}"
            if kind == "CronJob":
                yield what, spec["jobTemplate"]["spec"]["template"]
            elif kind in ("Deployment", "Job"):
                yield what, spec["template"]
            elif kind == "Pod":
                yield what, {"metadata": {"labels": known["metadata"]["labels"]}, "spec": spec}


def serves(what):
    """Whether pods of this kind are those of the service, and not of training."""
    return what.startswith(("Deployment", "Pod")) and not predicts(what)


def predicts(what):
    """Whether pods of this kind are those of bulk prediction."""
    return " digits-predict" in what


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


def errors_of(document):
    """What the schema of a custom resource says about it."""
    validator = jsonschema_rs.validator_for(SCHEMAS[document["kind"]])
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(document)]


def test_custom_resources_are_as_their_operators_take_them(manifests):
    found = [document for documents in manifests.values() for document in documents if document["kind"] in SCHEMAS]
    assert {document["kind"] for document in found} == SCHEMAS.keys()
    for document in found:
        assert errors_of(document) == [], f"{document['kind']} {document['metadata']['name']}"


def test_custom_resources_with_a_field_that_there_is_not_or_a_word_of_an_older_version_would_be_seen(manifests):
    inference = only(manifests["components/kserve"], "InferenceService")
    inference = json.loads(json.dumps(inference).replace("Standard", "RawDeployment").replace('"predictor"', '"model"'))
    assert len(errors_of(inference)) == 3


def test_a_field_that_there_is_not_would_be_seen(files, tmp_path):
    broken = (files / "base.yaml").read_text().replace("terminationGracePeriodSeconds", "terminationGraceSeconds", 1)
    (tmp_path / "broken.yaml").write_text(broken)
    code, said = strict(tmp_path / "broken.yaml")
    assert code == 1
    assert "terminationGraceSeconds" in said


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


def test_pods_are_restricted_as_their_namespace_asks(manifests):
    for name, documents in manifests.items():
        labels = only(documents, "Namespace")["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted", name
        for what, pod in pods(documents):
            spec = pod["spec"]
            assert spec["securityContext"]["runAsNonRoot"], what
            assert spec["securityContext"]["runAsUser"] == 10001, what
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, what
            assert spec["automountServiceAccountToken"] is False, what
            account = only(documents, "ServiceAccount", spec["serviceAccountName"])
            assert account["automountServiceAccountToken"] is False, what
            assert spec["enableServiceLinks"] is False, what
            for container in spec["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }, what
                assert {"cpu", "memory"} <= container["resources"]["limits"].keys(), what


def test_the_user_and_the_folders_are_those_of_the_image():
    assert "USER 10001:10001" in DOCKERFILE
    assert "DIGITS_STORE=/store" in DOCKERFILE


def test_probes_differ(manifests):
    (container,) = only(manifests["base"], "Deployment")["spec"]["template"]["spec"]["containers"]
    startup, readiness, liveness = (container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness"))
    assert (startup["httpGet"]["path"], readiness["httpGet"]["path"]) == ("/readyz", "/readyz")
    assert liveness["httpGet"]["path"] == "/healthz"
    assert startup["failureThreshold"] * startup["periodSeconds"] >= 60, "on a busy node it compiles for long"
    seconds_until_unready = readiness["failureThreshold"] * readiness["periodSeconds"]
    assert seconds_until_unready < liveness["failureThreshold"] * liveness["periodSeconds"], "first no requests"


def test_the_grace_period_is_long_enough_for_the_drain(manifests):
    settings = only(manifests["base"], "ConfigMap")["data"]
    spec = only(manifests["base"], "Deployment")["spec"]["template"]["spec"]
    before_s = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    pause_s, drain_s = float(settings["DIGITS_DRAIN_PAUSE_S"]), float(settings["DIGITS_DRAIN_TIMEOUT_S"])
    assert before_s + pause_s >= PAUSE_OF_PROXIES_S
    assert spec["terminationGracePeriodSeconds"] >= before_s + pause_s + drain_s + 5
    readiness = spec["containers"][0]["readinessProbe"]
    assert pause_s > readiness["periodSeconds"] * readiness["failureThreshold"], "it is seen to be going"


def test_a_pod_with_another_limit_of_cpu_starts_again_for_its_threads_are_chosen_at_the_start(manifests):
    for what, pod in pods(manifests["base"]):
        if serves(what):
            policy = {
                each["resourceName"]: each["restartPolicy"] for each in pod["spec"]["containers"][0]["resizePolicy"]
            }
            assert policy == {"cpu": "RestartContainer", "memory": "NotRequired"}


def test_the_settings_are_settings(manifests, monkeypatch):
    for name, value in only(manifests["base"], "ConfigMap")["data"].items():
        assert name.removeprefix("DIGITS_").lower() in ServiceSettings.model_fields, name
        monkeypatch.setenv(name, value)
    assert ServiceSettings().corrections_url == ""
    assert ServiceSettings().drain_pause_s == 5


def test_replicas_take_corrections_only_into_a_database_that_they_share(manifests):
    assert only(manifests["base"], "HorizontalPodAutoscaler")["spec"]["minReplicas"] > 1
    found = dict(pods(manifests["base"]))
    for what in ("Deployment digits", "CronJob digits-retrain"):
        (url,) = [v for v in found[what]["spec"]["containers"][0]["env"] if v["name"] == "DIGITS_FEEDBACK_URL"]
        assert url["valueFrom"]["secretKeyRef"] == {"name": "digits-database", "key": "url", "optional": True}, what


def test_only_training_writes_the_store(manifests):
    for documents in manifests.values():
        for what, pod in pods(documents):
            for mount in pod["spec"]["containers"][0]["volumeMounts"]:
                if mount["mountPath"] == "/store":
                    assert mount.get("readOnly", False) is (serves(what) or predicts(what)), what


def test_selectors_meet_the_pods(manifests):
    for name, documents in manifests.items():
        labels = {what: pod["metadata"]["labels"].items() for what, pod in pods(documents)}
        if not any(map(serves, labels)):
            continue
        selectors = [d["spec"]["selector"] for d in documents if d["kind"] == "Service"]
        selectors += [d["spec"]["selector"]["matchLabels"] for d in documents if d["kind"] == "PodDisruptionBudget"]
        assert selectors or name == "overlays/local"
        for selector in selectors:
            assert [what for what, of in labels.items() if selector.items() <= of] == [*filter(serves, labels)], name


def test_clients_reach_the_port_that_pods_listen_on(manifests):
    for name, documents in manifests.items():
        served = [pod["spec"]["containers"][0] for what, pod in pods(documents) if serves(what)]
        for container in served:
            (rule,) = only(documents, "NetworkPolicy", "digits-clients")["spec"]["ingress"]
            (port,) = container["ports"]
            assert rule["ports"][0]["port"] in (port["name"], port["containerPort"]), name


def test_only_one_retraining_runs_and_a_kept_champion_is_no_failure(manifests):
    cron = only(manifests["base"], "CronJob", "digits-retrain")["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    (container,) = cron["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "training", "retrain", "--kept-is-success"]
    assert KEPT == 3
    rules = cron["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert KEPT not in [value for rule in rules for value in rule.get("onExitCodes", {}).get("values", [])]


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


@pytest.mark.parametrize("component", ["gateway", "ingress"])
def test_routes_lead_to_a_port_of_the_service(manifests, component):
    documents = manifests[f"components/{component}"]
    service = only(documents, "Service")
    if component == "gateway":
        ((backend,),) = [rule["backendRefs"] for rule in only(documents, "HTTPRoute")["spec"]["rules"]]
        port = backend["port"]
    else:
        ((path,),) = [rule["http"]["paths"] for rule in only(documents, "Ingress")["spec"]["rules"]]
        backend = path["backend"]["service"]
        port = backend["port"]["name"]
    assert backend["name"] == service["metadata"]["name"]
    assert port in [each[key] for each in service["spec"]["ports"] for key in ("name", "port")]


@pytest.mark.parametrize(("component", "variables"), [("keys", ["KEYS_FILE"]), ("tls", ["TLS_CERT", "TLS_KEY"])])
def test_files_that_settings_name_are_mounted_from_a_secret(manifests, component, variables):
    documents = manifests[f"components/{component}"]
    settings = only(documents, "ConfigMap")["data"]
    assert {name.removeprefix("DIGITS_").lower() for name in settings} <= ServiceSettings.model_fields.keys()
    spec = only(documents, "Deployment")["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    secrets = {volume["name"]: volume["secret"] for volume in spec["volumes"] if "secret" in volume}
    for variable in variables:
        mount = mounts[str(Path(settings[f"DIGITS_{variable}"]).parent)]
        assert mount["readOnly"]
        assert secrets[mount["name"]] == {"secretName": f"digits-{component}", "defaultMode": 0o440}


def test_pods_that_speak_tls_are_probed_by_it(manifests):
    documents = manifests["components/tls"]
    (container,) = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {container[f"{kind}Probe"]["httpGet"]["scheme"] for kind in ("startup", "readiness", "liveness")} == {
        "HTTPS"
    }
    assert only(documents, "Service")["spec"]["ports"] == [{"name": "https", "port": 443, "targetPort": "http"}]


def test_the_table_of_capacity_follows_from_what_was_measured_and_from_the_base(manifests):
    said = (ROOT / "k8s/README.md").read_text().partition("## Capacity")[2].partition("\n## ")[0]
    (per_core,) = re.findall(r"a core answers about ([\d,]+) requests/s", said)
    autoscaler = only(manifests["base"], "HorizontalPodAutoscaler")["spec"]
    share = autoscaler["metrics"][0]["resource"]["target"]["averageUtilization"] / 100
    (container,) = only(manifests["base"], "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "512Mi"}
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| (\d+), (\d+) GiB \|", said, re.MULTILINE)
    assert [row[0] for row in rows] == ["1,000", "10,000", "100,000"]
    for requests, pods_, cores, gib in rows:
        wanted = math.ceil(int(requests.replace(",", "")) / (int(per_core.replace(",", "")) * share))
        assert int(pods_) == int(cores) == max(wanted, autoscaler["minReplicas"])
        assert int(gib) == math.ceil(int(pods_) / 2)


def test_keda_scales_as_the_base_does_and_by_a_metric_that_the_service_has(manifests):
    from service.observability.metrics import Metrics

    documents = manifests["components/keda"]
    spec, base = only(documents, "ScaledObject")["spec"], only(manifests["base"], "HorizontalPodAutoscaler")["spec"]
    assert "HorizontalPodAutoscaler" not in {document["kind"] for document in documents}, "KEDA makes its own"
    assert spec["scaleTargetRef"]["name"] == only(documents, "Deployment")["metadata"]["name"]
    assert "replicas" not in only(documents, "Deployment")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (base["minReplicas"], base["maxReplicas"])
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == base["behavior"]
    cpu, waiting = spec["triggers"]
    assert (cpu["type"], cpu["metadata"]["value"]) == (
        "cpu",
        str(base["metrics"][0]["resource"]["target"]["averageUtilization"]),
    )
    assert "# TYPE digits_queue_wait_seconds histogram" in Metrics().exposition().decode()
    namespace = only(documents, "Namespace")["metadata"]["name"]
    for suffix in ("_sum", "_count"):
        assert f'digits_queue_wait_seconds{suffix}{{namespace="{namespace}"}}' in waiting["metadata"]["query"]


@pytest.mark.parametrize("overlay", ["gpu", "tpu"])
def test_accelerators_are_not_scaled_by_cpu_and_a_rollout_needs_no_spare_one(manifests, overlay, tmp_path):
    documents = manifests[f"overlays/{overlay}"]
    assert "HorizontalPodAutoscaler" not in {document["kind"] for document in documents}
    deployment = only(documents, "Deployment")["spec"]
    assert deployment["replicas"] == 2, "while one is replaced the other one answers"
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    scaled = built(with_component(tmp_path, "keda-accelerators", f"overlays/{overlay}"))
    assert [trigger["type"] for trigger in only(scaled, "ScaledObject")["spec"]["triggers"]] == ["prometheus"]
    assert "replicas" not in only(scaled, "Deployment")["spec"]


def test_the_monitor_finds_the_service_and_its_metrics(manifests):
    documents = manifests["components/service-monitor"]
    monitor, service = only(documents, "ServiceMonitor"), only(documents, "Service")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"].keys() == {"selector", "endpoints"}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert endpoint["path"] == "/metrics"


def egress_ports(documents, pod):
    """The ports that network policies let a pod reach outside."""
    policies = [document["spec"] for document in documents if document["kind"] == "NetworkPolicy"]
    labels = pod["metadata"]["labels"].items()
    return {
        port["port"]
        for policy in policies
        if policy["podSelector"]["matchLabels"].items() <= labels
        for rule in policy.get("egress", [])
        for port in rule.get("ports", [])
    }


def test_traces_are_asked_for_leave_the_pod_and_are_made_in_the_image(manifests):
    documents = manifests["components/tracing"]
    settings = only(documents, "ConfigMap")["data"]
    assert wanted(settings)
    assert settings["DIGITS_DRAIN_PAUSE_S"] == "5", "settings of the base are still there"
    (pod,) = [pod for what, pod in pods(documents) if serves(what)]
    assert pod["spec"]["containers"][0]["envFrom"] == [
        {"configMapRef": {"name": only(documents, "ConfigMap")["metadata"]["name"]}}
    ]
    assert urlsplit(settings["OTEL_EXPORTER_OTLP_ENDPOINT"]).port in egress_ports(documents, pod)
    installed = re.search(
        r"^FROM accelerated AS service-dependencies\n(.*?)^FROM ", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
    assert "--extra tracing" in installed[1]


def test_kserve_runs_the_pods_that_the_deployment_would(manifests):
    documents = manifests["components/kserve"]
    assert {"Deployment", "HorizontalPodAutoscaler", "Service"} & {d["kind"] for d in documents} == set()
    ((_, pod),) = [found for found in pods(documents) if serves(found[0])]
    deployment = only(manifests["base"], "Deployment")["spec"]
    deployed = deployment["template"]
    assert pod["metadata"] == deployed["metadata"]
    wanted = json.dumps({k: v for k, v in deployed["spec"].items() if k != "topologySpreadConstraints"}, sort_keys=True)
    wanted = wanted.replace('"name": "service"', '"name": "kserve-container"').replace('"http"', '"http1"')
    assert json.loads(wanted) == pod["spec"]
    settings = pod["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert settings == only(documents, "ConfigMap")["metadata"]["name"]
    predictor = only(documents, "InferenceService")["spec"]["predictor"]
    assert predictor["deploymentStrategy"] == {"type": "RollingUpdate", **deployment["strategy"]}
    autoscaler = only(manifests["base"], "HorizontalPodAutoscaler")["spec"]
    assert [predictor[field] for field in ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget")] == [
        autoscaler["minReplicas"],
        autoscaler["maxReplicas"],
        autoscaler["metrics"][0]["resource"]["name"],
        autoscaler["metrics"][0]["resource"]["target"]["averageUtilization"],
    ]


@pytest.mark.needs_manifest_tools
def test_the_dockerfile_is_as_hadolint_wants_it(tmp_path):
    assert tool("hadolint", ROOT / "Dockerfile").stdout == ""
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN cd /tmp && apt-get install curl\n")
    assert "DL3007" in tool("hadolint", tmp_path / "Dockerfile").stdout


def test_the_dockerfile_turns_nothing_of_hadolint_off():
    assert "hadolint ignore" not in (ROOT / "Dockerfile").read_text()
    assert not list(ROOT.glob(".hadolint.y*ml"))
