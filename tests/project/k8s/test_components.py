"""What each component changes in the base."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.observability.tracing import wanted
from service.settings import ServiceSettings
from tests.support.manifests import only
from tests.support.pods import egress_ports, pods, serves
from tests.support.project import DOCKERFILE


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
        r"^FROM accelerated AS service-dependencies\n(.*?)^FROM ",
        DOCKERFILE,
        re.MULTILINE | re.DOTALL,
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
