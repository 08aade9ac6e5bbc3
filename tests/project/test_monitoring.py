"""Dashboard and alert rules use metrics and labels that the service exports."""

import json
import re

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
METRIC = re.compile(r"\b((?:digits|process)_[a-z_]+)(?:\{([^}]*)\})?")
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
        text = (await client.get("/metrics")).text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


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
        assert {"summary", "description"} == rule["annotations"].keys()
        mentioned = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
        grouped = {
            label.strip() for found in re.findall(r"\bby\s*\(([^)]*)\)", rule["expr"]) for label in found.split(",")
        }
        assert mentioned <= grouped, rule["alert"]


def test_the_component_brings_dashboard_and_alerts():
    component = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert component["kind"] == "Component"
    assert component["resources"] == ["alerts.yaml"]
    (config_map,) = component["configMapGenerator"]
    assert config_map["files"] == ["digits.json=dashboard.json"]
