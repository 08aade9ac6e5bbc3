"""Custom resources: the schemas of the fields that are used here, and the pods that operators make of them."""

import jsonschema_rs
import yaml

from tests.support.project import ROOT

SCHEMAS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "tests/project/k8s/schemas").glob("*.yaml")}
"""By kind."""


def errors_of(document):
    """What the schema of a custom resource says about it."""
    validator = jsonschema_rs.validator_for(SCHEMAS[document["kind"]])
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(document)]


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
