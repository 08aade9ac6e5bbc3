"""Dashboard and alert rules use metrics and labels that the service exports."""

import json
import re
import subprocess

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.application import app_with, client_of
from tests.support.fake_predictor import FakePredictor, columns_of, picture
from tests.support.project import ROOT
from training.drift import reference

pytestmark = pytest.mark.anyio
FOLDER = ROOT / "k8s" / "components" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
(RULES,) = [group["rules"] for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["spec"]["groups"]]
METRIC = re.compile(r"\b((?:digits|process|kube)_[a-z_]+|up\b)(?:\{([^}]*)\})?")
OF_OTHERS = {
    "up": {"job"},
    "kube_job_failed": {"condition", "job_name"},
    "kube_job_created": {"job_name"},
    "kube_cronjob_status_last_successful_time": {"cronjob"},
    "kube_cronjob_created": {"cronjob"},
    "kube_cronjob_spec_suspend": {"cronjob"},
    "kube_pod_container_resource_limits": {"container", "resource"},
}
"""Metrics of Prometheus and of kube-state-metrics that alerts use, with their labels."""
RUNBOOKS = dict(re.findall(r"^### (Digits\w+)\n((?:.+\n)+)", (ROOT / "k8s/README.md").read_text(), re.MULTILINE))
OF_THE_SCRAPE = {"namespace", "pod"}
"""Labels that Prometheus adds."""


def expressions():
    """Every query of the dashboard and of the alerts."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return panels + [rule["expr"] for rule in RULES]


def without_variables(expression):
    return expression.replace("$__rate_interval", "5m")


@pytest.fixture
async def scraped():
    """Names of the samples of /metrics with their labels, of a service to which everything has happened."""
    app = app_with(FakePredictor(version=3), FakePredictor(version=2), FakePredictor(version=4))
    state = app.service
    registry, metrics = state.registry, state.metrics.models
    metrics.set_loaded((version.name, version.version, "other") for version in registry.versions())
    async with client_of(app) as client:
        body = picture(7).tobytes()
        await client.post("/predict", content=body, headers={"Content-Type": "application/octet-stream"})
        await client.post("/predict", content="{", headers={"Content-Type": "application/json"})
        version = registry.resolve()
        version.metrics.failed()
        version.metrics.compared(pictures=1, differing=1)
        version.metrics.shadow_dropped()
        answered = columns_of(np.random.default_rng(0).dirichlet(np.ones(10), 100))
        version.metrics.monitor_drift(reference(answered), 500).add(answered)
        version.metrics.set_canary_out(False)
        metrics.set_rejected([("lenet", 9, "ValueError")])
        state.metrics.set_certificate_end(0)
        text = (await client.get("/metrics")).text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found | OF_OTHERS


async def test_every_metric_and_label_of_dashboard_and_alerts_is_there(scraped):
    used = [match for expression in expressions() for match in METRIC.finditer(expression)]
    assert len({match[1] for match in used}) > 15
    for match in used:
        assert match[1] in scraped, match[0]
        selected = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", match[2] or ""))
        assert selected <= scraped[match[1]] | OF_THE_SCRAPE, match[0]


async def test_what_queries_group_by_are_labels_of_what_they_read(scraped):
    for expression in expressions():
        names = {match[1] for match in METRIC.finditer(expression)}
        labels = set().union(*(scraped[name] for name in names)) | OF_THE_SCRAPE
        grouped = {
            label.strip()
            for found in re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", expression)
            for label in found.split(",")
        }
        assert grouped <= labels, expression


async def test_every_metric_of_the_service_is_on_the_dashboard_or_in_an_alert(scraped):
    """What nobody looks at need not be counted."""
    used = {match[1] for expression in expressions() for match in METRIC.finditer(expression)}
    families = {
        re.sub(r"_(total|created|bucket|count|sum)$", "", name) for name in scraped if name.startswith("digits_")
    }
    seen = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in used}
    assert families - seen == {"digits_live_version"}  # digits_model_info says the same, and more


def test_queries_have_as_many_brackets_closed_as_opened():
    for expression in map(without_variables, expressions()):
        for opening, closing in ("()", "[]", "{}"):
            assert expression.count(opening) == expression.count(closing), expression
        assert "$" not in expression.replace("$namespace", "").replace("$pod", ""), expression


def test_panels_do_not_cover_each_other_and_every_one_has_a_number_of_its_own():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


def test_alerts_say_how_urgent_they_are_and_what_has_happened():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 8
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description", "runbook_url"} == rule["annotations"].keys()
        mentioned = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
        grouped = {
            label.strip() for found in re.findall(r"\bby\s*\(([^)]*)\)", rule["expr"]) for label in found.split(",")
        }
        assert mentioned <= grouped, rule["alert"]


def test_every_alert_links_to_a_runbook_of_three_lines():
    assert {rule["alert"] for rule in RULES} == RUNBOOKS.keys()
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"k8s/README.md#{rule['alert'].lower()}"
        what, look, do = RUNBOOKS[rule["alert"]].splitlines()
        assert (what[:2], look[:8], do[:6]) == ("- ", "- Look: ", "- Do: "), rule["alert"]


@pytest.mark.needs_promtool
def test_alerts_fire_when_they_should_and_not_otherwise(tmp_path):
    """Series, and which alerts they make fire: tests/project/alerts.yaml, as Prometheus' own promtool reads it."""
    promtool = ROOT / ".cache/promtool"
    assert promtool.exists(), f"{promtool} is missing; make test-all installs it"
    cases = yaml.safe_load((ROOT / "tests/project/alerts.yaml").read_text())
    fired = {case["alertname"] for test in cases["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    silent = {
        case["alertname"] for test in cases["tests"] for case in test["alert_rule_test"] if not case["exp_alerts"]
    }
    assert fired & silent >= {
        *("DigitsDown", "DigitsTargetDown", "DigitsErrors", "DigitsStoreUnreachable", "DigitsMemory"),
        *("DigitsRetrainingFailed", "DigitsRetrainingOverdue", "DigitsCertificateExpires"),
    }
    plain = [rule | {"annotations": {}} for rule in RULES]  # their texts have numbers in them
    severity = {rule["alert"]: rule["labels"] for rule in RULES}
    for case in (case for test in cases["tests"] for case in test["alert_rule_test"]):
        for alert in case["exp_alerts"]:
            alert["exp_labels"] = (alert["exp_labels"] or {}) | severity[case["alertname"]]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "digits", "rules": plain}]}))
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(cases | {"rule_files": ["rules.yaml"]}))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_component_brings_dashboard_and_alerts():
    component = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert component["kind"] == "Component"
    assert component["resources"] == ["alerts.yaml"]
    (config_map,) = component["configMapGenerator"]
    assert config_map["files"] == ["digits.json=dashboard.json"]
