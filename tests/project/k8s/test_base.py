"""What all manifests, and those of the base, say agrees with the service and the training package."""

import math
import re

from service.settings import ServiceSettings
from tests.support.manifests import only
from tests.support.pods import pods, predicts, serves
from tests.support.project import ROOT
from training.commands.retrain import KEPT

PAUSE_OF_PROXIES_S = 5


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
