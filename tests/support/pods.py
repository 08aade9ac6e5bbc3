"""The pods that manifests make, and what they may reach."""

from tests.support.custom_resources import as_known


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
